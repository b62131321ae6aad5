#pragma once

#include "engine/scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace autoglm::engine {

inline constexpr SequenceKey kA{1};
inline constexpr SequenceKey kB{2};
inline constexpr SequenceKey kC{3};

inline SchedulerLimits limits_of(std::uint32_t cells, Duration max_stall = std::chrono::milliseconds(100)) {
  return {.max_stall = max_stall, .kv = {.cells = cells}};
}

/// A scheduler, its sequences' tokens, and a clock.
class SchedulerTest : public ::testing::Test {
 protected:
  void use(const SchedulerLimits& limits) { scheduler_ = std::make_unique<Scheduler>(limits); }

  /// Adds `count` tokens that begin with `shared` zeros and continue differently from all other sequences'.
  void add(SequenceKey key, std::uint32_t count, std::uint32_t slots = 1, std::uint8_t priority = 0,
           std::uint32_t shared = 0) {
    auto tokens = std::make_unique<std::vector<TokenId>>(count);
    for (std::uint32_t i = 0; i < count; ++i) {
      (*tokens)[i] = i < shared ? 0 : static_cast<TokenId>(key.value * 100'000 + i);
    }
    scheduler_->add(
        {.key = key, .tokens = tokens.get(), .slots = slots, .priority = priority, .arrived = now_});
    tokens_[key] = std::move(tokens);
  }
  void append(SequenceKey key) {
    tokens_[key]->push_back(7);
    scheduler_->append(key);
  }
  void fork(SequenceKey parent, SequenceKey child) {
    tokens_[child] = std::make_unique<std::vector<TokenId>>(*tokens_[parent]);
    scheduler_->fork(parent, child, tokens_[child].get());
  }
  Scheduler::Step plan() { return scheduler_->plan(now_); }
  Scheduler::Step step(Duration took = std::chrono::milliseconds(1)) {
    auto planned = plan();
    now_ += took;
    scheduler_->complete(planned, {.wall = took, .cpu = took}, now_);
    return planned;
  }
  /// Completes the step; every sequence whose slice completed gets its next token.
  void take_tokens(const Scheduler::Step& planned, Duration took) {
    now_ += took;
    scheduler_->complete(planned, {.wall = took, .cpu = took}, now_);
    for (const auto& slice : planned.slices) {
      if (slice.completes) append(slice.sequence);
    }
  }
  /// Starts `count` generating sequences whose steps take `took`.
  void start_streams(std::uint64_t count, Duration took) {
    for (std::uint64_t key = 100; key < 100 + count; ++key) add(SequenceKey{key}, 1);
    for (int i = 0; i < 3; ++i) take_tokens(plan(), took);
  }
  static std::vector<SequenceKey> admitted(const Scheduler::Step& step) {
    std::vector<SequenceKey> keys;
    for (const auto& admission : step.admitted) keys.push_back(admission.sequence);
    return keys;
  }

  std::unique_ptr<Scheduler> scheduler_ = std::make_unique<Scheduler>(SchedulerLimits{});
  std::map<SequenceKey, std::unique_ptr<std::vector<TokenId>>> tokens_;
  MonotonicTime now_{};
};

}  // namespace autoglm::engine
