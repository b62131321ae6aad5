#pragma once

#include "observe/log/logger.h"

#include <cstddef>
#include <cstdint>

namespace autoglm::app {

/// How many descriptors this process may open, and has open. Both zero where that is unknown.
struct Descriptors {
  std::size_t limit = 0;
  std::size_t open = 0;

  static Descriptors read();
};

/// How many of `wanted` client connections fit, with some descriptors left for files, checks and the
/// operator. `gateway`: each may need a second descriptor, for a server. At least one.
std::uint32_t connections_within(const Descriptors& descriptors, std::uint32_t wanted, bool gateway);
/// The same for the descriptors of now; says so when not all fit.
std::uint32_t connections_that_fit(std::uint32_t wanted, bool gateway, observe::Logger& log);

}  // namespace autoglm::app
