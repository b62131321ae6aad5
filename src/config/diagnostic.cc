#include "config/diagnostic.h"

#include "base/json_string.h"
#include "base/utf8.h"

#include <algorithm>

namespace autoglm::config {

std::string Location::to_string() const {
  std::string out = source;
  if (line > 0) out += ':' + std::to_string(line) + ':' + std::to_string(column);
  return out;
}

std::string Diagnostic::to_string() const {
  std::string out = location.to_string();
  if (is_warning) out += (out.empty() ? "" : ": ") + std::string("warning");
  if (!path.empty()) out += (out.empty() ? "" : ": ") + path;
  out += (out.empty() ? "" : ": ") + message;
  return out;
}

std::string to_string(const Diagnostics& diagnostics) {
  std::string out;
  for (const Diagnostic& diagnostic : diagnostics) out += diagnostic.to_string() + '\n';
  return out;
}

std::string join_path(const std::string& parent, const std::string& key) {
  const bool plain = !key.empty() && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (!plain) return parent + '[' + quoted(key) + ']';
  return parent.empty() ? key : parent + '.' + key;
}

std::string quoted(const std::string& text) {
  constexpr std::size_t kLongest = 60;
  std::string valid;
  append_valid_utf8(valid, std::string_view(text).substr(0, kLongest));
  if (text.size() > kLongest) valid += "…";
  std::string out;
  append_json_string(out, valid);
  return out;
}

}  // namespace autoglm::config
