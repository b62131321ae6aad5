#pragma once

#include <cstdint>
#include <vector>

namespace autoglm::engine {

/// An operation on the cells of a Stepper. Sharing and forgetting change only metadata and cost microseconds;
/// saving and restoring copy.
struct KvOperation {
  enum class Kind : std::uint8_t {
    kShare,    ///< `to` gets the cells of `from` at positions begin … end-1
    kForget,   ///< `from` gives up its cells at positions begin … end-1
    kSave,     ///< the cells of `from` at positions begin … end-1 are copied to `state`
    kRestore,  ///< `to` gets new cells at positions begin … end-1, filled from `state`
    kDrop      ///< `state` is no longer needed
  };
  static constexpr std::uint32_t kToTheEnd = ~0U;

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
