#pragma once

#include <cstdint>

namespace autoglm::simulation {

/// Counts the bytes that the program under simulation allocates by `new`. Memory of the machine and of the
/// scripts around it is not counted, even when the program frees it.
class Memory {
 public:
  /// Bytes that the program holds.
  static std::int64_t held();

  /// While one lives, this thread's allocations are not the program's.
  class Outside {
   public:
    Outside();
    ~Outside();
    Outside(const Outside&) = delete;
    Outside& operator=(const Outside&) = delete;
  };
};

}  // namespace autoglm::simulation
