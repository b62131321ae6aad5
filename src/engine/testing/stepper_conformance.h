#pragma once

#include "engine/testing/backend_implementation.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace autoglm::engine {

/// Its constructor stands beside the tests, which are linked with it.
struct StepperImplementation : BackendImplementation {
  StepperImplementation(const BackendImplementation& backend);
};

/// The conformance suite of Stepper, for INSTANTIATE_TEST_SUITE_P beside each implementation: the rules that
/// the scheduler relies on. What a stepper says that it cannot do is not asked of it.
class StepperConformance : public ::testing::TestWithParam<StepperImplementation> {
 protected:
  ~StepperConformance() override;

  static KvOperation share(std::int32_t from, std::int32_t to, std::uint32_t end) {
    return {.kind = KvOperation::Kind::kShare, .from = from, .to = to, .begin = 0, .end = end};
  }
  static KvOperation forget(std::int32_t sequence, std::uint32_t begin = 0) {
    return {.from = sequence, .begin = begin};
  }
  DecodeStatus decode(std::span<const BatchRow> rows, std::uint32_t threads = 1) {
    return stepper_.decode(rows, threads, stop_);
  }
  /// Computes `tokens` from `position` on; returns the greedy next token.
  TokenId feed(std::int32_t sequence, const std::vector<TokenId>& tokens, std::int32_t position = 0);
  TokenId best(std::size_t row);
  /// `count` greedy tokens after `prompt`.
  std::vector<TokenId> generate(std::int32_t sequence, const std::vector<TokenId>& prompt, int count);
  std::vector<TokenId> tokens(std::string_view text) const {
    return backend_.vocabulary->tokenize(text, true, false).value();
  }

  const Backend backend_ = GetParam().make();
  Stepper& stepper_ = *backend_.stepper;
  StopFlag stop_;
  std::uint32_t threads_ = 1;
};

}  // namespace autoglm::engine
