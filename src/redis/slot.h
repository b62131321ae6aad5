#pragma once

#include "runtime/socket.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace autoglm::redis {

inline constexpr std::uint16_t kSlots = 16384;

/// The slot of a cluster that `key` lies in: only what stands between its first braces counts, if anything
/// does.
std::uint16_t slot_of(std::string_view key);

/// Where a cluster's node sends a command instead: "MOVED 3999 127.0.0.1:6381", or "ASK …" for this one
/// command only.
struct Redirection {
  bool for_good = false;
  std::uint16_t slot = 0;
  HostPort target;  ///< without a host: the host of the node that has answered

  static std::optional<Redirection> parse(std::string_view error);
};

}  // namespace autoglm::redis
