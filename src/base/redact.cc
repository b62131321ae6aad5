#include "base/redact.h"

#include <algorithm>

namespace autoglm {

namespace {

bool is_scheme(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !text.empty() && is_letter(text.front()) && std::ranges::all_of(text, [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
}

}  // namespace

std::string without_secrets(std::string_view url) {
  const std::size_t colon = url.find("://");
  if (colon == std::string_view::npos || !is_scheme(url.substr(0, colon))) return std::string(url);
  std::string out(url.substr(0, colon + 3));
  url.remove_prefix(colon + 3);
  const std::string_view authority = url.substr(0, url.find_first_of("/?#"));
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    out.append(kHidden).append("@");
    url.remove_prefix(at + 1);
  }
  const std::size_t question = url.find('?');
  out += url.substr(0, question);
  if (question != std::string_view::npos) out.append("?").append(kHidden);
  return out;
}

}  // namespace autoglm
