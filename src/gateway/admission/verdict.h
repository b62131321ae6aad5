#pragma once

#include <cstdint>

namespace autoglm::gateway {

/// A limit's answer.
enum class Verdict : std::uint8_t {
  kAdmitted,
  kLater,  ///< it does not fit now (429)
  kNever,  ///< it is larger than the limit itself: waiting is useless (400)
};

}  // namespace autoglm::gateway
