#include "observe/metrics/exposition.h"

#include <algorithm>
#include <functional>
#include <map>

namespace autoglm::observe {

namespace {

constexpr std::string_view kHelp = "# HELP ";
constexpr std::string_view kType = "# TYPE ";

/// Calls `visit` with each line, its newline included, and the family to which the line belongs.
void for_each_line(std::string_view text,
                   const std::function<void(std::string_view family, std::string_view line)>& visit) {
  std::string_view family;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end);
    if (line.starts_with(kHelp) || line.starts_with(kType)) {
      const std::string_view rest = line.substr(kHelp.size());
      family = rest.substr(0, rest.find_first_of(" \n"));
    }
    if (!family.empty()) visit(family, line);
  }
}

}  // namespace

std::string merge_expositions(std::span<const std::string> texts) {
  struct Family {
    std::string head;
    std::string samples;
    const std::string* first = nullptr;
  };
  std::map<std::string_view, Family> families;
  for (const std::string& text : texts) {
    for_each_line(text, [&](std::string_view name, std::string_view line) {
      Family& family = families[name];
      if (family.first == nullptr) family.first = &text;
      if (!line.starts_with('#')) {
        family.samples += line;
      } else if (family.first == &text) {
        family.head += line;
      }
    });
  }
  std::string merged;
  for (const auto& [name, family] : families) merged.append(family.head).append(family.samples);
  return merged;
}

std::string families_of(std::string_view text, std::span<const std::string_view> prefixes) {
  std::string kept;
  for_each_line(text, [&](std::string_view family, std::string_view line) {
    const auto begins = [family](std::string_view prefix) { return family.starts_with(prefix); };
    if (std::ranges::any_of(prefixes, begins)) kept += line;
  });
  return kept;
}

}  // namespace autoglm::observe
