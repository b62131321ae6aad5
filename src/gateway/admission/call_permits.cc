#include "gateway/admission/call_permits.h"

#include <algorithm>
#include <exception>
#include <limits>

namespace autoglm::gateway {

namespace {

std::uint32_t bounded(std::uint64_t tokens) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(tokens, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace

CallPermits::CallPermits(CallPermits&& other) noexcept
    : permits_(std::exchange(other.permits_, {})),
      used_(other.used_),
      completion_estimate_(other.completion_estimate_),
      begun_(std::exchange(other.begun_, false)) {}

CallPermits::~CallPermits() {
  settle();
  while (!permits_.empty()) permits_.pop_back();
}

RateReport CallPermits::report() const {
  RateReport report;
  for (const auto& permit : permits_) permit->report(report);
  return report;
}

void CallPermits::begin(const TokenEstimate& estimate) {
  begun_ = true;
  used_.prompt_tokens = bounded(estimate.prompt);
  completion_estimate_ = estimate.completion();
}

void CallPermits::served_by(std::string_view model) {
  for (const auto& permit : permits_) permit->served_by(model);
}

Result<void> CallPermits::note(const EventBatch& batch) {
  count(batch);
  if (begun_ && !answers_ && (!batch.events.empty() || !batch.raw.empty() || batch.last())) {
    answers_ = true;
    for (const auto& permit : permits_) permit->first_token();
  }
  for (const auto& permit : permits_) {
    if (auto allowed = permit->watch(used_); !allowed) return allowed;
  }
  return {};
}

void CallPermits::count(const EventBatch& batch) {
  for (const TokenEvent& event : batch.events) {
    const bool has_text = !event.text.empty() || !event.reasoning.empty() || !event.tool_calls.empty();
    used_.completion_tokens += event.tokens.empty() ? static_cast<std::uint32_t>(has_text)
                                                    : static_cast<std::uint32_t>(event.tokens.size());
  }
  if (!batch.usage) return;
  // Servers may report a part of it, or nothing; a zero for all of it says that nobody counted.
  const Usage& said = *batch.usage;
  if (said.prompt_tokens > 0) {
    used_ = said;
  } else if (said.completion_tokens > 0) {
    used_.completion_tokens = said.completion_tokens;
  } else if (used_.completion_tokens == 0) {
    used_.completion_tokens = bounded(completion_estimate_);
  }
}

void CallPermits::settle() noexcept {
  if (!std::exchange(begun_, false)) return;
  for (const auto& permit : permits_) {
    try {
      permit->settle(used_);
    } catch (const std::exception&) {  // no memory: the others are told all the same
    }
  }
}

Task<Result<void>> CallPermits::close() {
  settle();
  std::vector<Task<Result<void>>> tasks;
  for (const auto& permit : permits_) {
    if (auto task = permit->commit()) tasks.push_back(std::move(*task));
  }
  // What is reserved must not count beside what has been counted, however long the tasks take.
  for (const auto& permit : permits_) permit->closed();
  for (auto& task : tasks) {
    if (auto done = co_await std::move(task); !done) co_return done;
  }
  co_return Result<void>();
}

}  // namespace autoglm::gateway
