#include "app/chat/message_composer.h"

#include <algorithm>
#include <utility>

namespace autoglm::app {

namespace {

constexpr std::string_view kQuotes = R"(""")";

std::string_view without_trailing_space(std::string_view text) {
  return text.substr(0, text.find_last_not_of(" \t\n") + 1);
}

/// An even number of backslashes is text, as in "\\" of LaTeX.
bool goes_on(std::string_view line) {
  const std::size_t last = line.find_last_not_of('\\');
  const std::size_t count = line.size() - (last == std::string_view::npos ? 0 : last + 1);
  return count % 2 == 1;
}

}  // namespace

void MessageComposer::clear() {
  text_.clear();
  block_ = false;
}

std::string MessageComposer::take() {
  block_ = false;
  return std::exchange(text_, {});
}

std::optional<std::string> MessageComposer::add(std::string_view line) {
  if (block_) return add_to_block(line);
  const std::size_t first = std::min(line.find_first_not_of(" \t"), line.size());
  if (text_.empty() && line.substr(first).starts_with(kQuotes)) {
    block_ = true;
    return add_to_block(line.substr(first + kQuotes.size()));
  }
  if (goes_on(line)) {
    text_.append(line.substr(0, line.size() - 1)) += '\n';
    return std::nullopt;
  }
  text_ += line;
  return take();
}

std::optional<std::string> MessageComposer::add_to_block(std::string_view line) {
  const std::string_view end = without_trailing_space(line);
  if (end.ends_with(kQuotes)) {
    text_ += end.substr(0, end.size() - kQuotes.size());
    if (text_.ends_with('\n')) text_.pop_back();
    return take();
  }
  // The quotes' own line is no line of the message.
  if (!text_.empty() || !line.empty()) text_.append(line) += '\n';
  return std::nullopt;
}

}  // namespace autoglm::app
