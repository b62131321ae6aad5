#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::engine {

/// Makes text of a choice's token bytes: whole characters only (a character may need several
/// tokens), and nothing that could still turn out to be the beginning of a stop string. Pure.
class TextAssembler {
 public:
  TextAssembler(std::shared_ptr<const std::vector<std::string>> stop, bool include_stop)
      : stop_(std::move(stop)), include_stop_(include_stop) {}

  /// Appends to `out` what has become certain by `bytes`; true when a stop string is complete: the text ends
  /// there and nothing must be added any more.
  bool add(std::string_view bytes, std::string& out);
  /// The generation ended otherwise: what was held back is text after all.
  void finish(std::string& out);

 private:
  std::shared_ptr<const std::vector<std::string>> stop_;  // of all choices
  bool include_stop_;
  std::string partial_;  // bytes of an incomplete character
  std::string held_;     // text that may begin a stop string
};

}  // namespace autoglm::engine
