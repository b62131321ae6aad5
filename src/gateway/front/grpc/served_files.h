#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway::grpc {

/// The .proto files of the served services, as protoc described them, by their names and by the names that
/// they declare. Immutable.
class ServedFiles {
 public:
  /// Of a serialized google.protobuf.FileDescriptorSet, which must outlive this.
  explicit ServedFiles(std::string_view descriptor_set);

  /// Serialized FileDescriptorProtos; empty: there is none.
  std::string_view by_name(std::string_view file) const;
  /// The file that declares a service, method, message or enum by its full name.
  std::string_view by_symbol(std::string_view symbol) const;
  const std::vector<std::string>& services() const { return services_; }

 private:
  std::map<std::string, std::string, std::less<>> files_;
  std::map<std::string, std::string_view, std::less<>> symbols_;  // views of `files_`
  std::vector<std::string> services_;
};

}  // namespace autoglm::gateway::grpc
