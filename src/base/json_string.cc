#include "base/json_string.h"

#include "base/byte_words.h"

#include <boost/json/serializer.hpp>

#include <array>

namespace autoglm {

namespace {

/// What stands in JSON as it is, leaving aside all beyond ASCII: nearly every string there is.
bool is_plain(std::string_view text) {
  return !byte_words::any(text, [](std::uint64_t word) {
    using namespace byte_words;
    return below(word, ' ') | equal(word, '"') | equal(word, '\\') | equal(word, '\x7f') | beyond_ascii(word);
  });
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  if (is_plain(text)) {
    out += '"';
    out += text;
    out += '"';
    return;
  }
  // The serializer writes into a buffer of ours: no allocation for the few bytes of a token.
  boost::json::serializer serializer;
  serializer.reset(boost::json::string_view(text.data(), text.size()));
  std::array<char, 512> buffer;
  while (!serializer.done()) {
    const auto part = serializer.read(buffer.data(), buffer.size());
    out.append(part.data(), part.size());
  }
}

}  // namespace autoglm
