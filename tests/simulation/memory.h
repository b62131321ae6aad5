#pragma once

#include <cstdint>

namespace autoglm::simulation {

/// Counts the bytes that the program under simulation takes by `new`. What belongs to the machine and to the
/// scripts around it is not counted, nor is it when the program gives it back.
class Memory {
 public:
  /// That the program holds.
  static std::int64_t held();

  /// While one lives, what this thread takes is not the program's.
  class Outside {
   public:
    Outside();
    ~Outside();
    Outside(const Outside&) = delete;
    Outside& operator=(const Outside&) = delete;
  };
};

}  // namespace autoglm::simulation
