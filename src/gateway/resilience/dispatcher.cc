#include "gateway/resilience/dispatcher.h"

#include "inference/prefix_digests.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

namespace {
constexpr std::uint32_t kMinRetries = 3;  // that a budget always allows
}

Dispatcher::Dispatcher(std::string name, const PoolConfig& config, PoolMetrics& metrics,
                       const std::vector<Endpoint*>& endpoints,
                       std::vector<std::shared_ptr<EndpointRecord>> records,
                       std::shared_ptr<WaitingLine> line)
    : name_(std::move(name)),
      config_(config),
      metrics_(metrics),
      endpoints_(config_, endpoints, std::move(records), std::move(line)),
      budget_(config_.retry.budget_percent, kMinRetries) {}

Dispatch::Dispatch(Dispatcher& dispatcher, Dispatcher::Loop& loop, const InferenceRequest& request)
    : dispatcher_(dispatcher),
      loop_(loop),
      active_(dispatcher.budget_.begin_request()),
      attempts_allowed_(dispatcher.config_.retry.max_attempts),
      streamed_(request.wire.stream),
      request_(nullptr) {
  if (loop_.balancer->wants_prefix()) prefix_ = prefix_digests(std::get<GenerateRequest>(request.work));
}

/// Whether nothing but its being full, told by `full`, speaks against asking `index`.
bool Dispatch::may_ask(std::size_t index, MonotonicTime now, bool& full) const {
  const Member& member = dispatcher_.endpoints_.members()[index];
  if (!member.state->enabled.load(std::memory_order_relaxed) ||
      std::ranges::find(tried_, index) != tried_.end())
    return false;
  if (required_ != Continuation::kNone && member.endpoint.continuation(*request_) < required_) return false;
  if (!dispatcher_.endpoints_.breaker(index).admits(now)) return false;
  const bool busy = member.full();
  full |= busy;
  return !busy;
}

/// Among those that are well; else the backups; else, since checks may be wrong and there is nothing to lose,
/// anybody. When few are well, everybody at once, but those that are not even there.
std::optional<std::size_t> Dispatch::pick(MonotonicTime now, bool& full) {
  EndpointSet& set = dispatcher_.endpoints_;
  set.look(loop_.outlook, now);
  const EndpointSet::Outlook& outlook = loop_.outlook;
  const auto pick_among = [&](const auto& wanted) {
    return loop_.balancer->pick(
        set.members(), [&](std::size_t i) { return wanted(set.members()[i]) && may_ask(i, now, full); },
        {.prefix = prefix_, .now = now});
  };
  std::optional<std::size_t> picked;
  if (outlook.panic && outlook.any_well) {
    picked = pick_among([](const Member& m) { return !m.backup && !m.state->health.absent(); });
    if (picked && !set.available(set.members()[*picked], now)) dispatcher_.metrics_.panics.add();
  } else if (outlook.any_well) {
    picked = pick_among([&](const Member& m) { return !m.backup && set.available(m, now); });
  }
  if (picked) return picked;
  // A place at one that is well is worth waiting for.
  if (full) return std::nullopt;
  if (outlook.any_backup)
    picked = pick_among([&](const Member& m) { return m.backup && set.available(m, now); });
  if (picked || full) return picked;
  for (const bool backup : {false, true}) {
    picked = pick_among([&](const Member& m) { return m.backup == backup && !set.available(m, now); });
    if (picked) return picked;
  }
  return std::nullopt;
}

Dispatch::Step Dispatch::next(MonotonicTime now) {
  if (last_ && (last_->retry != Retry::kElsewhere || attempts_ >= attempts_allowed_)) return nobody_left(now);
  bool full = false;
  while (const auto member = pick(now, full)) {
    if (attempts_ > 0 && !retry_ && !replaces_) {
      retry_ = dispatcher_.budget_.try_retry();
      if (!retry_) {
        dispatcher_.metrics_.retries_refused.add();
        return nobody_left(now);
      }
    }
    tried_.push_back(*member);
    auto attempt = dispatcher_.endpoints_.breaker(*member).try_acquire(now);
    if (!attempt) continue;  // somebody else is its probe
    if (attempts_++ > 0) dispatcher_.metrics_.retries.add();
    replaces_ = false;
    return Ask{.member = *member,
               .attempt = std::move(*attempt),
               .place = EndpointSet::Place(dispatcher_.endpoints_, *member),
               .began = now};
  }
  if (full) return Full{};
  return again_or_nobody(now);
}

/// Everybody has had its turn: perhaps a second one, a little later.
Dispatch::Step Dispatch::again_or_nobody(MonotonicTime now) {
  const RetryConfig& config = dispatcher_.config_.retry;
  if (!again_ || not_before_ > config.max_backoff) return nobody_left(now);
  const Duration most = std::min(config.max_backoff, config.backoff * (1 << std::min(rounds_, 10U)));
  const auto jittered = std::chrono::duration_cast<Duration>(most * loop_.random.uniform());
  const Duration wait = std::max(jittered, not_before_);
  ++rounds_;
  tried_.clear();
  again_ = false;
  not_before_ = Duration::zero();
  return Pause{now + wait};
}

std::optional<Dispatch::Ask> Dispatch::hedge(MonotonicTime now) {
  bool full = false;
  const auto member = pick(now, full);
  if (!member || attempts_ >= attempts_allowed_) return std::nullopt;
  if (!retry_) retry_ = dispatcher_.budget_.try_retry();
  if (!retry_) {
    dispatcher_.metrics_.retries_refused.add();
    return std::nullopt;
  }
  tried_.push_back(*member);
  auto attempt = dispatcher_.endpoints_.breaker(*member).try_acquire(now);
  if (!attempt) return std::nullopt;
  ++attempts_;
  dispatcher_.metrics_.hedges.add();
  return Ask{.member = *member,
             .attempt = std::move(*attempt),
             .place = EndpointSet::Place(dispatcher_.endpoints_, *member),
             .began = now};
}

void Dispatch::succeeded(Ask& ask, MonotonicTime now) {
  ask.attempt.success(now);
  dispatcher_.endpoints_.succeeded(ask.member);
  dispatcher_.endpoints_.record(ask.member).count(Outcome::kOk);
  // A whole answer comes when it is done: that says nothing of first tokens.
  if (streamed_) loop_.first_tokens.observe(now - ask.began);
  last_.reset();
  retry_ = {};  // a long stream does not keep others from their retries
}

void Dispatch::count_failure(std::size_t member, const Error& error, MonotonicTime now) {
  dispatcher_.endpoints_.failed(member, now);
  dispatcher_.endpoints_.record(member).count(error.code == ErrorCode::kDeadlineExceeded ? Outcome::kTimeout
                                                                                         : Outcome::kFailed);
}

/// Whether the same endpoint may do better: not when nobody was there, and not after a long silence.
bool Dispatch::may_ask_again(const Error& error) const {
  return error.retry == Retry::kElsewhere && error.reason != "connect_failed" &&
         error.code != ErrorCode::kDeadlineExceeded;
}

void Dispatch::failed(Ask ask, const Error& error, MonotonicTime now) {
  // A 4xx is the client's own, and a 429 is no failure but a sign of life.
  if (error.origin == Origin::kClient || error.code == ErrorCode::kResourceExhausted) {
    dispatcher_.endpoints_.record(ask.member).count(Outcome::kRefused);
  } else if (error.reason != kOutOfSockets) {
    ask.attempt.failure(now);
    count_failure(ask.member, error, now);
  }
  // Nobody worked on it: the next attempt takes its place. Once, so that nothing is multiplied.
  const bool lost = error.reason == "connect_failed" || error.reason == "connection_lost";
  if (lost && !std::exchange(replaced_, true)) replaces_ = true;
  if (may_ask_again(error)) {
    again_ = true;
    not_before_ = std::max<Duration>(not_before_, error.retry_after.value_or(std::chrono::seconds(0)));
  }
  last_ = error;
}

void Dispatch::broke(std::size_t member, const Error& error, bool got_on, MonotonicTime now) {
  if (error.origin == Origin::kClient) {
    dispatcher_.endpoints_.record(member).count(Outcome::kRefused);
    return;
  }
  dispatcher_.endpoints_.breaker(member).count_failure(now);
  count_failure(member, error, now);
  tried_ = {member};
  again_ = false;
  if (got_on) {
    // What comes now is an attempt at something else: the rest of the answer. Its first one takes the place
    // of work that ended, so that a server's death, which breaks a crowd of streams at once, multiplies
    // nothing.
    attempts_allowed_ = attempts_ + dispatcher_.config_.retry.max_attempts;
    replaces_ = true;
  } else {
    last_ = error;
  }
}

void Dispatch::require(Continuation continuation, const InferenceRequest& request) {
  required_ = continuation;
  request_ = &request;
}

/// What the client is told. Which address refused is for the log; what a server said is for the client.
Error Dispatch::nobody_left(MonotonicTime now) {
  if (last_ && last_->reason == kOutOfSockets)
    last_->message = "this server can open no more connections now; try again shortly";
  if (last_ && (last_->code != ErrorCode::kUnavailable || last_->reason == kOutOfSockets))
    return std::move(*last_);
  const EndpointSet& set = dispatcher_.endpoints_;
  Duration soonest = dispatcher_.config_.breaker.sleep_window;
  for (std::size_t i = 0; i < set.members().size(); ++i)
    soonest = std::min(soonest, set.breaker(i).until_probe(now));
  const auto said = last_ && last_->retry_after ? *last_->retry_after : std::chrono::seconds(1);
  return Error{
      .code = ErrorCode::kUnavailable,
      .origin = Origin::kEndpoint,
      .retry = Retry::kElsewhere,
      .message = fmt::format("none of the {} endpoints of \"{}\" can take the request now; try again shortly",
                             set.members().size(), dispatcher_.name_),
      .reason = "no_endpoint",
      .retry_after =
          std::max({std::chrono::ceil<std::chrono::seconds>(soonest), std::chrono::seconds(1), said})};
}

}  // namespace autoglm::gateway
