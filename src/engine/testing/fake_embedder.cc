#include "engine/testing/fake_embedder.h"

#include "engine/testing/fake_backend.h"

#include <chrono>
#include <cmath>
#include <memory>

namespace autoglm::engine {

FakeEmbedder::FakeEmbedder(ModelTask task)
    : task_(task),
      facts_{.context_length = 32,
             .max_batch = 64,
             .max_sequences = 8,
             .outputs = task == ModelTask::kRank ? 1U : 4U,
             .threads = 1} {}

DecodeStatus FakeEmbedder::compute(std::span<const std::span<const TokenId>> sequences,
                                   std::uint32_t /*threads*/, const StopFlag& stop) {
  std::unique_lock lock(mutex_);
  while (held_) {
    waiting_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::milliseconds(1));
    if (stop.is_set()) return DecodeStatus::kAborted;
  }
  waiting_ = false;
  if (failures_left_ > 0) {
    --failures_left_;
    return DecodeStatus::kFailed;
  }
  outputs_.clear();
  for (const auto& sequence : sequences) {
    std::vector<float> counts(4);
    for (const TokenId token : sequence) {
      if (token >= 'a' && token <= 'd') ++counts[static_cast<std::size_t>(token - 'a')];
    }
    if (task_ == ModelTask::kRank) counts = {counts[0] / static_cast<float>(sequence.size())};
    if (gives_nan_) counts.front() = std::nanf("");
    outputs_.push_back(std::move(counts));
  }
  gives_nan_ = false;
  steps_.push_back(sequences.size());
  return DecodeStatus::kOk;
}

void FakeEmbedder::fail_steps(std::uint32_t count) {
  const std::lock_guard lock(mutex_);
  failures_left_ = count;
}

void FakeEmbedder::give_nan() {
  const std::lock_guard lock(mutex_);
  gives_nan_ = true;
}

void FakeEmbedder::hold() {
  const std::lock_guard lock(mutex_);
  held_ = true;
}

void FakeEmbedder::release() {
  const std::lock_guard lock(mutex_);
  held_ = false;
  changed_.notify_all();
}

void FakeEmbedder::wait_until_held() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return waiting_; });
}

std::vector<std::size_t> FakeEmbedder::steps() const {
  const std::lock_guard lock(mutex_);
  return steps_;
}

Backend make_fake_embedding_backend(ModelTask task) {
  return Backend{.vocabulary = std::make_shared<const FakeVocabulary>(FakeOptions{.longest_token = 1}),
                 .stepper = nullptr,
                 .embedder = std::make_unique<FakeEmbedder>(task),
                 .pairs = {.before = {}, .between = {'|'}, .after = {}, .text = {}},
                 .task = task};
}

}  // namespace autoglm::engine
