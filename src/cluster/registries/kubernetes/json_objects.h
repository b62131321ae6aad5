#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::cluster {

/// Finds the ends of JSON objects that come back to back, in pieces of any size. Looks at each byte once.
/// Pure.
class JsonObjects {
 public:
  /// The bytes that have come and were not taken. To be appended to.
  std::string& buffer() { return buffer_; }
  /// The next whole object; valid until the buffer is appended to. Whether it is JSON is for its reader to
  /// say. Nothing: it has not come yet.
  std::optional<std::string_view> next();
  /// Makes room: the objects that `next` gave are gone.
  void forget_taken();
  /// What stands before an object and is neither one nor white space: the rest cannot be read.
  bool is_garbage() const { return garbage_; }
  /// Of the object that has not come whole.
  std::size_t pending() const { return buffer_.size() - begin_; }

 private:
  std::optional<std::string_view> rest();

  std::string buffer_;
  std::size_t begin_ = 0;  // of the object, or of what is before it
  std::size_t at_ = 0;     // looked at, up to here
  std::size_t depth_ = 0;
  bool in_string_ = false;
  bool garbage_ = false;
};

}  // namespace autoglm::cluster
