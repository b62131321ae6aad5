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
  while (depth_ > 0 && at_ < size) {
    const char c = bytes[at_];
    if (in_string_) {
      if (c == '\\') {
        at_ += 2;  // what it escapes may not be there yet
      } else {
        in_string_ = c != '"';
        ++at_;
      }
      continue;
    }
    ++at_;
    if (c == '"') {
      in_string_ = true;
    } else if (c == '{') {
      ++depth_;
    } else if (c == '}' && --depth_ == 0) {
      const std::string_view object(bytes + begin_, at_ - begin_);
      begin_ = at_;
      return object;
    }
  }
  return std::nullopt;
}

void JsonObjects::forget_taken() {
  buffer_.erase(0, begin_);
  at_ -= begin_;
  begin_ = 0;
}

}  // namespace autoglm::cluster
