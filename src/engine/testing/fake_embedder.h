#pragma once

#include "engine/backends/backend.h"

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace autoglm::engine {

/// Vectors without a model: what a sequence gives is how often each of the letters a to d is in it; ranking,
/// the share of its letters that are 'a'. Its vocabulary is the fake backend's. What tests set and read is
/// guarded.
class FakeEmbedder final : public Embedder {
 public:
  explicit FakeEmbedder(ModelTask task);

  const EmbedderFacts& facts() const override { return facts_; }
  DecodeStatus compute(std::span<const std::span<const TokenId>> sequences, std::uint32_t threads,
                       const StopFlag& stop) override;
  std::span<const float> output(std::size_t sequence) override { return outputs_[sequence]; }

  // For tests, from any thread.
  /// The next `count` steps fail.
  void fail_steps(std::uint32_t count);
  /// The next step gives no numbers.
  void give_nan();
  /// Makes steps wait here until they are released or aborted.
  void hold();
  void release();
  /// Waits until a step is held.
  void wait_until_held();
  /// The number of sequences of each step that was computed.
  std::vector<std::size_t> steps() const;

 private:
  ModelTask task_;
  EmbedderFacts facts_;
  std::vector<std::vector<float>> outputs_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint32_t failures_left_ = 0;
  bool gives_nan_ = false;
  bool held_ = false;
  bool waiting_ = false;
  std::vector<std::size_t> steps_;
};

/// With the fake backend's vocabulary; its context has 32 tokens, a step 64.
Backend make_fake_embedding_backend(ModelTask task = ModelTask::kEmbed);

}  // namespace autoglm::engine
