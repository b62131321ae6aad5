#include "base/json_string.h"

#include "base/byte_words.h"

#include <boost/json/serializer.hpp>

#include <array>

namespace autoglm {

bool is_plain_json(std::string_view text) {
  return !byte_words::any(text, [](std::uint64_t word) {
    using namespace byte_words;
    return below(word, ' ') | equal(word, '"') | equal(word, '\\') | equal(word, '\x7f') | beyond_ascii(word);
  });
}

void append_json_string(std::string& out, std::string_view text) {
  if (is_plain_json(text)) {
    out += '"';
    out += text;
    out += '"';
    return;
  }
  // The serializer writes into our own buffer: no allocation for the few bytes of a token.
  boost::json::serializer serializer;
  serializer.reset(boost::json::string_view(text.data(), text.size()));
  std::array<char, 512> buffer;
  while (!serializer.done()) {
    const auto part = serializer.read(buffer.data(), buffer.size());
    out.append(part.data(), part.size());
  }
}

}  // namespace autoglm
