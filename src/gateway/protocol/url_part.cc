#include "gateway/protocol/url_part.h"

#include <fmt/format.h>

#include <iterator>

namespace autoglm::protocol {

std::string url_part(std::string_view text) {
  std::string part;
  for (const char letter : text) {
    const bool plain = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                       (letter >= '0' && letter <= '9') ||
                       std::string_view("-._~").find(letter) != std::string_view::npos;
    if (plain) {
      part += letter;
    } else {
      fmt::format_to(std::back_inserter(part), "%{:02X}", static_cast<unsigned char>(letter));
    }
  }
  // A segment of dots alone would lead up the path.
  if (part == "." || part == "..") return part == "." ? "%2E" : "%2E%2E";
  return part;
}

}  // namespace autoglm::protocol
