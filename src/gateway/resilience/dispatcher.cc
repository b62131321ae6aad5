#include "gateway/resilience/dispatcher.h"

#include "inference/prefix_digests.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

namespace {
constexpr std::uint32_t kMinRetries = 3;  // that a budget always allows
}

Dispatcher::Dispatcher(std::string name, const Surroundings& surroundings, std::shared_ptr<WaitingLine> line)
    : name_(std::move(name)),
      config_(surroundings.config),
      metrics_(surroundings.metrics),
      clock_(surroundings.clock),
      log_(surroundings.log),
      endpoints_(config_, std::move(line)),
      budget_(config_.retry.budget_percent, kMinRetries) {}

Dispatch::Dispatch(Dispatcher& dispatcher, Dispatcher::Loop& loop, const InferenceRequest& request)
    : dispatcher_(dispatcher),
      loop_(loop),
      active_(dispatcher.budget_.begin_request()),
      attempts_allowed_(dispatcher.config_.retry.max_attempts),
      streamed_(request.wire.stream),
      request_(request) {
  const GenerateRequest* work = request.generation();
  if (work != nullptr && loop_.balancer->wants_prefix()) prefix_ = prefix_digests(*work);
}

/// Whether the member in `slot` may be asked. Sets `full` when nothing but being full speaks against it.
bool Dispatch::may_ask(std::size_t slot, MonotonicTime now, bool& full) const {
  EndpointRecord* const record = list().owners[slot].record;
  return record != nullptr && record->breaker.admits(now) && may_take(slot, full);
}

/// The same without asking its circuit breaker.
bool Dispatch::may_take(std::size_t slot, bool& full) const {
  const Member& member = list().members[slot];
  if (!member.state->enabled.load(std::memory_order_relaxed) ||
      std::ranges::find(tried_, member.id) != tried_.end())
    return false;
  if (required_ != Continuation::kNone && member.endpoint->continuation(*rest_) < required_) return false;
  const bool busy = member.full();
  full |= busy;
  return !busy;
}

/// Picks among the endpoints that are well; else among the backups; else, since checks may be wrong and there
/// is nothing to lose, among all. When few are well (a panic), among all that can be connected to.
std::optional<std::size_t> Dispatch::pick(MonotonicTime now, bool& full) {
  EndpointSet& set = dispatcher_.endpoints_;
  set.look(loop_.outlook, now);
  const EndpointSet::Outlook& outlook = loop_.outlook;
  const Members members = list().members;
  const auto pick_among = [&](const auto& wanted) {
    return loop_.balancer->pick(members,
                                [&](std::size_t i) { return wanted(members[i]) && may_ask(i, now, full); },
                                {.prefix = prefix_, .now = now});
  };
  std::optional<std::size_t> picked;
  if (outlook.panic && outlook.any_well) {
    picked = pick_among([](const Member& m) { return !m.backup && !m.state->health.absent(); });
    if (picked && !set.available(members[*picked], now)) dispatcher_.metrics_.panics.add();
  } else if (outlook.any_well) {
    picked = pick_among([&](const Member& m) { return !m.backup && set.available(m, now); });
  }
  if (picked) return picked;
  // A place at an endpoint that is well is worth waiting for.
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
  if (last_ && (again_after(*last_) == Again::kNowhere || attempts_ >= attempts_allowed_))
    return nobody_left();
  bool full = false;
  while (const auto member = pick(now, full)) {
    if (attempts_ > 0 && !replaces_ && !has_budget()) return nobody_left();
    auto ask = take(*member, now);
    if (!ask) continue;
    if (attempts_ > 1) dispatcher_.metrics_.retries.add();
    replaces_ = false;
    return std::move(*ask);
  }
  if (full) return Full{};
  if (attempts_ == 0) {
    if (auto ask = probe(now)) return std::move(*ask);
  }
  return again_or_nobody(now);
}

/// While every breaker is open, one request at a time asks one endpoint as a probe, instead of none until a
/// sleep window is over: an endpoint may be well again.
std::optional<Ask> Dispatch::probe(MonotonicTime now) {
  EndpointSet& set = dispatcher_.endpoints_;
  const Members members = list().members;
  bool full = false;
  std::optional<std::size_t> picked;
  for (const bool available : {true, false}) {
    if (picked) break;
    picked = loop_.balancer->pick(
        members,
        [&](std::size_t i) { return set.available(members[i], now) == available && may_take(i, full); },
        {.prefix = prefix_, .now = now});
  }
  if (!picked) return std::nullopt;
  auto place = EndpointSet::Place::take(set, members[*picked]);
  if (!place) return std::nullopt;
  auto permission = set.probe_alone(list(), *picked, now);
  if (!permission) return std::nullopt;
  tried_.push_back(members[*picked].id);
  ++attempts_;
  return Ask(*this, *list().owners[*picked].member, std::move(*place), std::move(*permission), now);
}

bool Dispatch::has_budget() {
  if (!retry_) retry_ = dispatcher_.budget_.try_retry();
  if (!retry_) dispatcher_.metrics_.retries_refused.add();
  return static_cast<bool>(retry_);
}

/// Nothing when another loop took the place, or the probe, since the member in `slot` was picked.
std::optional<Ask> Dispatch::take(std::size_t slot, MonotonicTime now) {
  const Member& member = list().members[slot];
  const MemberList::Owner& owner = list().owners[slot];
  auto place = EndpointSet::Place::take(dispatcher_.endpoints_, member);
  if (!place) return std::nullopt;  // full since it was picked; the next pick sees that
  tried_.push_back(member.id);
  auto permission = owner.record->breaker.try_acquire(now);
  if (!permission) return std::nullopt;  // another request is its probe
  ++attempts_;
  return Ask(*this, *owner.member, std::move(*place), std::move(*permission), now);
}

/// Every endpoint has been tried: another round after a pause, or none.
Dispatch::Step Dispatch::again_or_nobody(MonotonicTime now) {
  const RetryConfig& config = dispatcher_.config_.retry;
  if (!again_ || not_before_ > config.max_backoff) return nobody_left();
  const Duration most = std::min(config.max_backoff, config.backoff * (1 << std::min(rounds_, 10U)));
  const auto jittered = std::chrono::duration_cast<Duration>(most * loop_.random.uniform());
  const Duration wait = std::max(jittered, not_before_);
  ++rounds_;
  tried_.clear();
  again_ = false;
  not_before_ = Duration::zero();
  return Pause{now + wait};
}

std::optional<Ask> Dispatch::hedge(MonotonicTime now) {
  bool full = false;
  const auto member = pick(now, full);
  if (!member || attempts_ >= attempts_allowed_ || !has_budget()) return std::nullopt;
  auto ask = take(*member, now);
  if (ask) dispatcher_.metrics_.hedges.add();
  return ask;
}

void Dispatch::succeeded(Ask& ask, MonotonicTime now) {
  ask.answers(now);
  // A whole answer arrives when it is done, which says nothing of first tokens.
  if (streamed_) loop_.first_tokens.observe(now - ask.began());
  last_.reset();
  retry_ = {};  // a long stream must not hold a part of the retry budget
}

/// Logs failures of endpoints only; other errors reach the client and the access log.
void Dispatch::tell(const Ask& ask, const Error& error) {
  if (dispatcher_.log_ == nullptr || !is_failure(outcome_of(error))) return;
  dispatcher_.log_->info("attempt failed", {{"model", dispatcher_.name_},
                                            {"request_id", request_.id},
                                            {"endpoint", ask.member().name()},
                                            {"attempt", ask.number_},
                                            {"error", error.log_message()}});
}

void Dispatch::failed(Ask ask, const Error& error, MonotonicTime now) {
  ask.fails(error, now);
  // The next attempt replaces this one. Once a request, so that load is not multiplied.
  if (is_lost(error) && !std::exchange(replaced_, true)) replaces_ = true;
  const bool unasked = error.origin == Origin::kLocal && error.code == ErrorCode::kInvalidArgument;
  if (unasked) {
    // No server was asked, since this one's protocol cannot say the request; the next attempt is the first.
    replaces_ = true;
    ++attempts_allowed_;
  }
  if (again_after(error) == Again::kAnywhere) {
    again_ = true;
    not_before_ = std::max<Duration>(not_before_, error.retry_after.value_or(std::chrono::seconds(0)));
  }
  // What a server said when it was asked is nearer to the truth: an outage is no fault of the request.
  if (!unasked || !last_) last_ = error;
}

void Dispatch::outpaced(Ask ask, Duration patience, MonotonicTime now) {
  if (now - ask.began() >= patience) ask.fails(too_silent(), now);
}

void Dispatch::broke(Ask ask, const Error& error, bool got_on, MonotonicTime now) {
  const bool early = now - ask.began() < dispatcher_.config_.breaker.window;
  tried_ = {ask.id()};
  ask.fails(error, now);
  if (error.origin == Origin::kClient) return;
  again_ = false;
  const std::uint32_t most = dispatcher_.config_.retry.max_attempts;
  if (got_on && (!early || ++early_breaks_ <= most)) {
    // The rest of the answer is other work. Its first attempt replaces work that ended, outside the budget: a
    // server's death breaks many streams at once, and resuming them does not multiply the load.
    attempts_allowed_ = attempts_ + most;
    replaces_ = true;
  } else {
    if (got_on) attempts_allowed_ = attempts_;
    last_ = error;
  }
}

void Dispatch::require(Continuation continuation, const InferenceRequest& request) {
  required_ = continuation;
  rest_ = &request;
}

Error Dispatch::told(Error error) const {
  if (is_failure(outcome_of(error)))
    error.message = fmt::format("the model \"{}\": {}", dispatcher_.name_, error.message);
  return error;
}

/// The error for the client: what a server said, without the addresses, which are for the log.
Error Dispatch::nobody_left() {
  const bool ours = last_ && last_->origin == Origin::kLocal;
  // An overload here is no 429, which would say that the client asks too much.
  if (ours && last_->code == ErrorCode::kResourceExhausted) last_->code = ErrorCode::kUnavailable;
  if (last_ && (last_->code != ErrorCode::kUnavailable || ours)) return told(std::move(*last_));
  const auto said = last_ && last_->retry_after ? *last_->retry_after : std::chrono::seconds(1);
  return Error{
      .code = ErrorCode::kUnavailable,
      .origin = Origin::kEndpoint,
      .retry = Retry::kElsewhere,
      .message = fmt::format("none of the {} endpoints of \"{}\" can take the request now; try again shortly",
                             list().size(), dispatcher_.name_),
      .reason = "no_endpoint",
      .retry_after = std::max(std::chrono::seconds(1), said)};
}

}  // namespace autoglm::gateway
