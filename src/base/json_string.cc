#include "base/json_string.h"

#include <boost/json/serializer.hpp>

#include <array>

namespace autoglm {

void append_json_string(std::string& out, std::string_view text) {
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
