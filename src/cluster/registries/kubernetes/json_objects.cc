#include "cluster/registries/kubernetes/json_objects.h"

namespace autoglm::cluster {

namespace {

bool is_json_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

std::optional<std::string_view> JsonObjects::next() {
  const char* const bytes = buffer_.data();
  const std::size_t size = buffer_.size();
  if (depth_ == 0 && !garbage_) {
    while (at_ < size && is_json_space(bytes[at_])) ++at_;
    begin_ = at_;
    if (at_ < size) {
      garbage_ = bytes[at_] != '{';
      if (!garbage_) {
        depth_ = 1;
        ++at_;
      }
    }
  }
  return depth_ > 0 ? rest() : std::nullopt;
}

/// The rest of the object that has begun; in registers, since it looks at each byte of all that comes.
std::optional<std::string_view> JsonObjects::rest() {
  const char* const bytes = buffer_.data();
  const std::size_t size = buffer_.size();
  std::size_t at = at_;
  std::size_t depth = depth_;
  bool in_string = in_string_;
  while (at < size && depth > 0) {
    if (in_string) {
      while (at < size && bytes[at] != '"' && bytes[at] != '\\') ++at;
      if (at >= size) break;
      in_string = bytes[at] == '\\';
      at += in_string ? 2 : 1;  // what a backslash escapes may not be there yet
      continue;
    }
    while (at < size && bytes[at] != '"' && bytes[at] != '{' && bytes[at] != '}') ++at;
    if (at >= size) break;
    const char c = bytes[at++];
    in_string = c == '"';
    depth += c == '{' ? 1 : 0;
    depth -= c == '}' ? 1 : 0;
  }
  at_ = at;
  depth_ = depth;
  in_string_ = in_string;
  if (depth > 0) return std::nullopt;
  const std::string_view object(bytes + begin_, at - begin_);
  begin_ = at;
  return object;
}

void JsonObjects::forget_taken() {
  buffer_.erase(0, begin_);
  at_ -= begin_;
  begin_ = 0;
}

}  // namespace autoglm::cluster
