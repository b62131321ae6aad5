#include "http/header_lines.h"

#include "base/byte_words.h"
#include "http/message.h"

namespace autoglm::http {

void HeaderLines::add(std::string_view name, std::string_view value) {
  text_.append(name).append(": ", 2);
  const std::size_t begin = text_.size();
  text_.append(value);
  if (byte_words::any(value, [](std::uint64_t word) { return byte_words::below(word, ' '); })) {
    for (std::size_t i = begin; i < text_.size(); ++i)
      if (static_cast<unsigned char>(text_[i]) < ' ') text_[i] = ' ';
  }
  text_.append("\r\n", 2);  // with its length: else it is counted at each line
}

bool HeaderLines::has(std::string_view name) const {
  for (std::string_view rest = text_; !rest.empty(); rest.remove_prefix(rest.find('\n') + 1)) {
    if (equals_ignoring_case(rest.substr(0, rest.find(':')), name)) return true;
  }
  return false;
}

}  // namespace autoglm::http
