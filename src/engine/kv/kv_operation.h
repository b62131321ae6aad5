#pragma once

#include <cstdint>
#include <vector>

namespace autoglm::engine {

/// Something to do to the backend's cells. Sharing and forgetting are metadata only and cost microseconds;
/// saving and restoring copy.
struct KvOperation {
  enum class Kind : std::uint8_t {
    kShare,    ///< `to` gets the cells that `from` has at positions begin … end-1
    kForget,   ///< `from` gives up its cells at positions begin … end-1
    kSave,     ///< what `from` has at positions begin … end-1 is copied aside, as `state`
    kRestore,  ///< `to` gets cells of its own at positions begin … end-1, filled from `state`
    kDrop      ///< `state` is not needed any more
  };
  static constexpr std::uint32_t kToTheEnd = ~0U;
  /// Cells that a kRestore may need beyond those that it fills, for a moment.
  static constexpr std::uint32_t kPiece = 64;

  Kind kind = Kind::kForget;
  std::int32_t from = 0;
  std::int32_t to = -1;
  std::uint32_t begin = 0;
  std::uint32_t end = kToTheEnd;
  std::uint64_t state = 0;
  friend bool operator==(const KvOperation&, const KvOperation&) = default;
};
using KvOperations = std::vector<KvOperation>;

}  // namespace autoglm::engine
