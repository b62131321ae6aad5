#pragma once

#include "base/published.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm {

/// A group's part of every engine of this server.
struct GroupShare {
  std::string name;
  double share = 0;   ///< what it has at least, while it has work; 0 … 1
  double max = 1;     ///< what it has at most, also of an idle engine; 0 … 1
  double weight = 1;  ///< against other groups, for all that shares leave open

  bool operator==(const GroupShare&) const = default;
};

/// The groups that own parts of engines, as configured now. Callers of other groups, and of none, share what
/// is left as one. Written by one thread, read by all: an engine looks at `version` before each step.
class LiveGroupShares {
 public:
  using Table = std::vector<GroupShare>;
  struct Snapshot {
    std::uint64_t version = 0;
    Table groups;
    std::string told;  ///< what `hear` takes in another process
  };

  /// Null before the first.
  std::shared_ptr<const Snapshot> get() const { return now_.get(); }
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  /// An equal table changes nothing.
  void set(Table groups);
  /// Takes what a server told the process of its engine; what is older than the present, or no such text,
  /// changes nothing.
  void hear(std::string_view told);

 private:
  void publish(std::uint64_t version, Table groups);

  Published<Snapshot> now_;
  std::atomic<std::uint64_t> version_{0};
};

/// A name as `told` has it: letters, digits, `-`, `_` and `.`, other bytes as %XX.
std::string escaped_group(std::string_view name);
/// The name again; a text that is none stays as it is.
std::string unescaped_group(std::string_view text);

}  // namespace autoglm
