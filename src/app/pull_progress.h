#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace autoglm::app {

/// The progress of a download for people: a bar in a terminal, elsewhere a line for each tenth. Pure.
class PullProgress {
 public:
  /// `columns` of the terminal; 0: there is none.
  explicit PullProgress(unsigned columns) : columns_(columns) {}

  /// What to write for `done` of `total` bytes after `seconds` of downloading; empty: nothing new.
  std::string next(std::uint64_t done, std::optional<std::uint64_t> total, double seconds);
  /// What to write before another line: removes the bar.
  std::string clear();

 private:
  std::string bar(std::uint64_t done, std::uint64_t total, double seconds) const;

  unsigned columns_;
  bool shown_ = false;
  std::optional<std::uint64_t> begun_at_;  // bytes of earlier pulls say nothing about the connection's speed
  std::uint64_t said_ = 0;                 // tenths, or steps where the total is unknown
};

}  // namespace autoglm::app
