#include "gateway/admission/groups/bulkhead.h"

#include "config/values.h"
#include "runtime/event_loop.h"
#include "runtime/race.h"
#include "runtime/signal.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace autoglm::gateway {

namespace {

constexpr auto kShortestRetry = std::chrono::seconds(1);
constexpr auto kLongestRetry = std::chrono::minutes(10);

/// Nine of these make any request's level the highest, before its time in the line is over.
Duration aging_of(const BulkheadConfig& config) { return config.queue.timeout / 10; }

}  // namespace

/// What a waiter and its wakers share. As an errand it brings the decision to the waiter's loop: that needs
/// no memory, and there is one decision.
struct Bulkhead::Waiting final : Errand {
  enum class State : std::uint8_t { kInLine, kAdmitted, kShed };

  explicit Waiting(MonotonicTime now) : loop(EventLoop::current()), arrived(now) {}
  void run() override { woken.set(); }

  EventLoop& loop;
  const MonotonicTime arrived;
  Signal woken;  // loop thread only; nothing waits for it once the waiter is destroyed
  // Under the bulkhead's lock:
  State state = State::kInLine;
  FairLine::Key key = 0;
};

/// A waiter's stay, until the object is destroyed.
class Bulkhead::Stay {
 public:
  Stay(Bulkhead& group, std::shared_ptr<Waiting> waiting) : group_(group), waiting_(std::move(waiting)) {}
  Stay(const Stay&) = delete;
  Stay& operator=(const Stay&) = delete;
  ~Stay() {
    if (leave()) group_.give_back(false);
  }

  Waiting& waiting() const { return *waiting_; }
  /// Until when it waits, by the configuration of now.
  Deadline patience(Deadline deadline) const {
    const auto lock = group_.lock();
    const Duration left = waiting_->arrived + group_.config_.queue.timeout - group_.clock_.now();
    return earlier(deadline, Deadline::after(left));
  }
  /// The outcome; nothing while it may go on waiting. After an outcome there is nothing left to leave.
  std::optional<Result<Place>> outcome(bool in_time) {
    const auto lock = group_.lock();
    switch (waiting_->state) {
      case Waiting::State::kAdmitted:
        taken_ = true;
        return Place(group_, std::max(group_.clock_.now() - waiting_->arrived, Duration::zero()));
      case Waiting::State::kShed:
        return fail(group_.full());
      case Waiting::State::kInLine:
        break;
    }
    if (in_time) return std::nullopt;
    return fail(group_.too_late());
  }

 private:
  /// Whether it leaves a place that it never took.
  bool leave() {
    const auto lock = group_.lock();
    if (waiting_->state == Waiting::State::kInLine) {
      group_.line_.leave(waiting_->key);
      group_.waiting_.erase(waiting_->key);
    }
    return waiting_->state == Waiting::State::kAdmitted && !taken_;
  }

  Bulkhead& group_;
  std::shared_ptr<Waiting> waiting_;
  bool taken_ = false;
};

Bulkhead::Bulkhead(const BulkheadKind& kind, BulkheadConfig config, const Clock& clock)
    : kind_(kind), clock_(clock), config_(std::move(config)), line_(config_.queue.size, aging_of(config_)) {}

Task<Result<Bulkhead::Place>> Bulkhead::enter(std::string tenant, std::uint8_t priority, std::uint64_t cost,
                                              Deadline deadline) {
  std::shared_ptr<Waiting> joined;
  {
    const auto guard = lock();
    if (!is_full()) {
      ++running_;
      note_full();
      co_return Place(*this, Duration::zero());
    }
    auto waiting = join(tenant, priority, cost, deadline);
    if (!waiting) co_return fail(std::move(waiting).error());
    joined = std::move(*waiting);
  }
  Stay stay(*this, std::move(joined));
  while (true) {
    Signal& woken = stay.waiting().woken;
    const auto done = co_await with_deadline(stay.patience(deadline), raised(woken), "waiting for a place");
    woken.clear();
    if (auto outcome = stay.outcome(done.has_value())) co_return std::move(*outcome);
  }
}

Result<std::shared_ptr<Bulkhead::Waiting>> Bulkhead::join(const std::string& tenant, std::uint8_t priority,
                                                          std::uint64_t cost, Deadline deadline) {
  const MonotonicTime now = clock_.now();
  if (rate_.solid() && !deadline.is_never()) {
    const std::size_t above = running_ - config_.concurrent;
    const Duration turn = rate_.until(line_.ahead(tenant, priority) + above + 1);
    if (deadline.remaining(now) < turn) {
      return fail(refusal(
          "deadline_too_near",
          fmt::format("and this request's turn would come in about {:.1f} s, after its deadline; allow more "
                      "time, or try again later",
                      to_seconds(turn))));
    }
  }
  auto waiting = std::make_shared<Waiting>(now);
  const FairLine::Joined joined = line_.join(tenant, priority, cost, now);
  if (joined.displaced) shed(*joined.displaced);
  if (!joined.key) return fail(full());
  waiting->key = *joined.key;
  waiting_.emplace(*joined.key, waiting);
  return waiting;
}

void Bulkhead::change(const BulkheadConfig& config) {
  const auto guard = lock();
  if (lifted_ || config.concurrent != config_.concurrent) rate_.forget();
  lifted_ = false;
  const bool other_time = config.queue.timeout != config_.queue.timeout;
  config_.concurrent = config.concurrent;
  config_.queue = config.queue;
  // New places first: whom they admit, a shorter line need not shed.
  admit_waiters();
  note_full();
  for (const FairLine::Key key : line_.change(config.queue.size, aging_of(config))) shed(key);
  if (!other_time) return;
  for (const auto& [key, waiting] : waiting_) waiting->loop.post([waiting] { waiting->run(); });
}

void Bulkhead::resize(std::uint32_t concurrent) {
  const auto guard = lock();
  config_.concurrent = concurrent;
  admit_waiters();
  note_full();
}

void Bulkhead::lift() {
  const auto guard = lock();
  lifted_ = true;
  admit_waiters();
  note_full();
}

void Bulkhead::give_back(bool departed) {
  const auto guard = lock();
  // Above a limit that was lowered, no waiter moves up when a request leaves.
  if (running_ > config_.concurrent) {
    rate_.not_full();
  } else if (departed) {
    rate_.departed(clock_.now());
  }
  --running_;
  admit_waiters();
  note_full();
}

void Bulkhead::admit_waiters() {
  while (!line_.empty() && !is_full()) {
    ++running_;
    const auto found = waiting_.find(*line_.next(clock_.now()));
    const std::shared_ptr<Waiting> waiting = std::move(found->second);
    waiting_.erase(found);
    waiting->state = Waiting::State::kAdmitted;
    // Under the lock: a waiter cannot leave, nor its loop end, before the loop has been posted to.
    waiting->loop.post(std::shared_ptr<Errand>(waiting));
  }
}

void Bulkhead::shed(FairLine::Key key) {
  const auto found = waiting_.find(key);
  const std::shared_ptr<Waiting> waiting = std::move(found->second);
  waiting_.erase(found);
  waiting->state = Waiting::State::kShed;
  waiting->loop.post(std::shared_ptr<Errand>(waiting));
}

void Bulkhead::note_full() { is_full() ? rate_.full(clock_.now()) : rate_.not_full(); }

Error Bulkhead::refusal(const char* reason, std::string why) const {
  auto later = kShortestRetry;
  if (rate_.solid()) {
    later = std::clamp<std::chrono::seconds>(
        std::chrono::ceil<std::chrono::seconds>(rate_.until(line_.waiting() + 1)), kShortestRetry,
        kLongestRetry);
  }
  return Error{.code = ErrorCode::kResourceExhausted,
               .origin = Origin::kLocal,
               .retry = Retry::kLater,
               .message = fmt::format("the {} \"{}\" has its {} requests at a time, {}", kind_.noun,
                                      config_.name, config_.concurrent, why),
               .reason = reason,
               .retry_after = later};
}

Error Bulkhead::full() const {
  return refusal(kind_.full, fmt::format("and its queue of {} is full of others; try again later, or send "
                                         "fewer requests at a time",
                                         config_.queue.size));
}

Error Bulkhead::too_late() const {
  return refusal(kind_.timeout,
                 fmt::format("and none has ended in time for this one, which may wait for {}; try again "
                             "later, or send fewer requests at a time",
                             config::to_string(config_.queue.timeout)));
}

std::size_t Bulkhead::running() const {
  const auto guard = lock();
  return running_;
}

std::size_t Bulkhead::limit() const {
  const auto guard = lock();
  return lifted_ ? 0 : config_.concurrent;
}

std::size_t Bulkhead::waiting() const {
  const auto guard = lock();
  return line_.waiting();
}

}  // namespace autoglm::gateway
