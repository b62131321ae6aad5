#include "config/load.h"

#include "config/reader.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

namespace autoglm::config::detail {

Diagnostics load_into(const Section& root, const Sources& sources, void* target) {
  Diagnostics problems;
  Node tree;
  const bool readable = merge(root, sources, tree, problems);
  // Without the file, what is missing from the tree is no mistake of its own.
  if (readable) {
    Diagnostics found;
    read(root, tree, target, found);
    // What could not be expanded has been reported; that the text makes no sense either is no news.
    const auto known = [&](const Diagnostic& later) {
      return std::ranges::any_of(problems, [&](const Diagnostic& earlier) {
        return earlier.path == later.path && earlier.location.to_string() == later.location.to_string();
      });
    };
    std::erase_if(found, known);
    problems.insert(problems.end(), found.begin(), found.end());
  }
  std::multimap<std::tuple<bool, int, int>, Diagnostic> ordered;  // which keeps the order of equals
  for (Diagnostic& problem : problems) {
    const Location& at = problem.location;
    ordered.emplace(std::tuple(at.origin != ValueOrigin::kFile, at.line, at.column), std::move(problem));
  }
  problems.clear();
  constexpr std::size_t kMost = 100;  // nobody reads more, and a hostile file has as many as it has lines
  for (auto& [key, problem] : ordered) {
    if (problems.size() == kMost) {
      problems.push_back({{}, "", "and " + std::to_string(ordered.size() - kMost) + " more mistakes"});
      break;
    }
    problems.push_back(std::move(problem));
  }
  return problems;
}

}  // namespace autoglm::config::detail
