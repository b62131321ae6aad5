#pragma once

#include "engine/scheduler/fair_queue.h"
#include "engine/scheduler/shares/share_book.h"
#include "inference/sampling.h"

#include <cstdint>
#include <limits>
#include <vector>

namespace autoglm::engine {

constexpr std::uint32_t kUnlimitedRows = std::numeric_limits<std::uint32_t>::max();

/// A request's sequence, as the scheduler sees it.
struct SequenceSpec {
  SequenceKey key;
  const std::vector<TokenId>* tokens = nullptr;  ///< prompt and answer; the owner keeps it and appends to it
  std::uint32_t slots = 1;                       ///< sequences that it will fork into, itself included
  std::uint8_t priority = 0;                     ///< 0 … 9, within its group
  std::uint64_t tenant = 0;
  GroupIndex group = kNoGroup;
  std::uint64_t salt = 0;                   ///< prefixes are shared only among equal salts
  std::uint32_t max_rows = kUnlimitedRows;  ///< per step
  MonotonicTime arrived;
  MonotonicTime deadline = MonotonicTime::max();
};

}  // namespace autoglm::engine
