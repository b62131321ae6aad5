#pragma once

#include <chrono>
#include <cstdint>

namespace autoglm {

/// How busy an endpoint is, as it says itself. A snapshot.
struct LoadReport {
  std::uint32_t running = 0;  ///< sequences in the batch
  std::uint32_t waiting = 0;  ///< requests in the queue
  std::uint32_t max_running = 0;
  std::uint32_t max_waiting = 0;
  double kv_usage = 0;                       ///< 0 … 1
  std::uint64_t prefill_backlog_tokens = 0;  ///< prompt tokens not yet computed, queue included
  std::chrono::microseconds step_time{0};    ///< of a recent decode step, smoothed

  bool operator==(const LoadReport&) const = default;
};

}  // namespace autoglm
