#pragma once

#include "engine/backends/backend.h"

#include <cstdint>

namespace autoglm::engine {

/// A backend for the conformance suites of its parts, in one line of a test. It is made with 256 cells, a
/// context of 256 tokens, 8 sequences, and steps of up to 64 rows.
struct BackendImplementation {
  static constexpr std::uint32_t kCells = 256;
  static constexpr std::uint32_t kSequences = 8;
  static constexpr std::uint32_t kBatch = 64;

  const char* name;
  Backend (*make)();
};

}  // namespace autoglm::engine
