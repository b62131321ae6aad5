#include "config/load.h"

#include "config/reader.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace autoglm::config::detail {

namespace {

/// Mistakes in the file come first, line by line.
void sort_by_place(Diagnostics& diagnostics) {
  std::multimap<std::tuple<bool, int, int>, Diagnostic> ordered;  // a multimap keeps the order of equals
  for (Diagnostic& each : diagnostics) {
    const Location& at = each.location;
    ordered.emplace(std::tuple(at.origin != ValueOrigin::kFile, at.line, at.column), std::move(each));
  }
  diagnostics.clear();
  for (auto& [place, each] : ordered) diagnostics.push_back(std::move(each));
}

void cut(Diagnostics& diagnostics) {
  constexpr std::size_t kMost = 100;  // nobody reads more, and a hostile file has as many as it has lines
  if (diagnostics.size() <= kMost) return;
  const std::size_t more = diagnostics.size() - kMost;
  diagnostics.resize(kMost);
  diagnostics.push_back({{}, "", "and " + std::to_string(more) + " more mistakes"});
}

}  // namespace

Diagnostics load_into(const Section& root, const Sources& sources, void* target, Diagnostics& warnings) {
  Diagnostics problems;
  Node tree;
  const bool readable = merge(root, sources, tree, problems);
  // When the file could not be read, keys missing from the tree are not mistakes.
  if (readable) {
    Diagnostics found;
    read(root, tree, target, found, warnings);
    // A failed expansion has been reported; that the unexpanded text is invalid too is no further mistake.
    const auto known = [&](const Diagnostic& later) {
      return std::ranges::any_of(problems, [&](const Diagnostic& earlier) {
        return earlier.path == later.path && earlier.location.to_string() == later.location.to_string();
      });
    };
    std::erase_if(found, known);
    problems.insert(problems.end(), found.begin(), found.end());
  }
  sort_by_place(problems);
  cut(problems);
  sort_by_place(warnings);
  return problems;
}

}  // namespace autoglm::config::detail
