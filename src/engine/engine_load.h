#pragma once

#include "engine/recent_prefixes.h"
#include "inference/load_report.h"

#include <atomic>

namespace autoglm::engine {

/// The engine's load after each step. Written by the engine's thread, read by any.
class EngineLoad {
 public:
  std::atomic<std::uint32_t> running{0};
  std::atomic<std::uint32_t> waiting{0};
  std::atomic<double> kv_usage{0};
  std::atomic<std::uint32_t> threads{0};
  std::atomic<std::uint64_t> prefill_backlog_tokens{0};
  std::atomic<std::int64_t> step_time_us{0};
  RecentPrefixes prefixes;

  LoadReport report(std::uint32_t max_running, std::uint32_t max_waiting) const {
    return {.running = running.load(std::memory_order_relaxed),
            .waiting = waiting.load(std::memory_order_relaxed),
            .max_running = max_running,
            .max_waiting = max_waiting,
            .kv_usage = kv_usage.load(std::memory_order_relaxed),
            .prefill_backlog_tokens = prefill_backlog_tokens.load(std::memory_order_relaxed),
            .step_time = std::chrono::microseconds(step_time_us.load(std::memory_order_relaxed))};
  }
};

}  // namespace autoglm::engine
