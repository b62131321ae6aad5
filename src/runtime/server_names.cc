#include "runtime/server_names.h"

#include <algorithm>

namespace autoglm {

namespace {

std::string normalized(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string text(name);
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

}  // namespace

void ServerNames::add(std::string_view name, std::size_t certificate) {
  const std::string text = normalized(name);
  if (text.starts_with("*.") && text.find('*', 1) == std::string::npos && text.size() > 2) {
    below_.emplace(text.substr(2), certificate);
  } else if (!text.empty() && text.find('*') == std::string::npos) {
    exact_.emplace(text, certificate);
  }
}

std::optional<std::size_t> ServerNames::find(std::string_view name) const {
  const std::string text = normalized(name);
  if (const auto exact = exact_.find(text); exact != exact_.end()) return exact->second;
  const std::size_t dot = text.find('.');
  if (dot == std::string::npos || dot == 0) return std::nullopt;
  const auto below = below_.find(text.substr(dot + 1));
  return below == below_.end() ? std::nullopt : std::optional(below->second);
}

}  // namespace autoglm
