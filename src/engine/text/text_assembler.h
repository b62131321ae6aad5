#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::engine {

/// Turns a choice's token bytes into text: only whole characters (a character may need several tokens), and
/// nothing that could still turn out to be the beginning of a stop string. Pure.
class TextAssembler {
 public:
  TextAssembler(std::shared_ptr<const std::vector<std::string>> stop, bool include_stop)
      : stop_(std::move(stop)), include_stop_(include_stop) {}

  /// Appends to `out` the text that has become certain with `bytes`; true when a stop string is complete: the
  /// text ends there and nothing may be added any more.
  bool add(std::string_view bytes, std::string& out);
  /// Ends the text without a stop string: what was held back is text after all.
  void finish(std::string& out);
  /// The stop string that ended the text; null: none did.
  const std::string* found() const { return found_; }

 private:
  std::shared_ptr<const std::vector<std::string>> stop_;  // shared by all choices
  bool include_stop_;
  std::string partial_;  // bytes of an incomplete character
  std::string held_;     // text that may begin a stop string
  const std::string* found_ = nullptr;  // one of stop_
};

}  // namespace autoglm::engine
