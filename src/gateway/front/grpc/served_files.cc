#include "gateway/front/grpc/served_files.h"

#include "base/assert.h"

#include <openautoglm/internal/descriptors.pb.h>

#include <utility>

namespace autoglm::gateway::grpc {

namespace {

namespace internal = ::openautoglm::internal;

/// The names of a type and of the types inside it; as deep as our own files have them.
void collect(const internal::Type& type, const std::string& scope, std::vector<std::string>& names) {
  const std::string name = scope + type.name();
  names.push_back(name);
  for (const auto& inner : type.enum_type()) names.push_back(name + '.' + inner.name());
  for (const auto& inner : type.nested_type()) collect(inner, name + '.', names);
}

}  // namespace

ServedFiles::ServedFiles(std::string_view descriptor_set) {
  internal::FileSet set;
  const bool whole = set.ParseFromArray(descriptor_set.data(), static_cast<int>(descriptor_set.size()));
  AUTOGLM_ASSERT(whole, "the build embeds what protoc wrote");
  for (std::string& bytes : *set.mutable_file()) {
    internal::File file;
    AUTOGLM_ASSERT(file.ParseFromString(bytes), "the build embeds what protoc wrote");
    const std::string scope = file.package() + '.';
    std::vector<std::string> names;
    for (const auto& type : file.message_type()) collect(type, scope, names);
    for (const auto& type : file.enum_type()) names.push_back(scope + type.name());
    for (const auto& service : file.service()) {
      services_.push_back(scope + service.name());
      names.push_back(services_.back());
      for (const auto& method : service.method()) names.push_back(services_.back() + '.' + method.name());
    }
    const std::string_view kept = files_.emplace(file.name(), std::move(bytes)).first->second;
    for (std::string& name : names) symbols_.emplace(std::move(name), kept);
  }
}

std::string_view ServedFiles::by_name(std::string_view file) const {
  const auto found = files_.find(file);
  return found == files_.end() ? std::string_view() : found->second;
}

std::string_view ServedFiles::by_symbol(std::string_view symbol) const {
  const auto found = symbols_.find(symbol);
  return found == symbols_.end() ? std::string_view() : found->second;
}

}  // namespace autoglm::gateway::grpc
