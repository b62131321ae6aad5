#include "gateway_world.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace autoglm::gateway {

using namespace std::chrono_literals;
using enum Saw;
using State = CircuitBreaker::State;

constexpr Duration kHedgeAfter = 15ms;

World::World(std::uint64_t seed, Balance balance) : random_(seed), config_(config_of(random_, balance)) {
  const auto change = roster_.prepare(cluster::membership_of(config_.endpoints)).value();
  roster_.adopt(change, now_);
  const std::size_t count = factory_.made.size();
  for (const auto& endpoint : factory_.made)
    if (random_.below(2) == 0) endpoint->current_continuation = Continuation::kExact;
  dispatcher_ = std::make_unique<Dispatcher>(
      "m", Dispatcher::Surroundings{.config = config_, .metrics = metrics_, .clock = clock_});
  dispatcher_->endpoints().set(change.list);
  for (int i = 0; i < 2; ++i)
    loops_.push_back({.balancer = factory_of(balance)(random_()), .random = Random(random_())});
  for (char first = 'a'; first < 'g'; ++first) {
    inferences_.push_back({});
    inferences_.back().work = GenerateRequest{.prompts = {TextPrompt{std::string(600, first)}}};
  }
  moods_.assign(count, Mood::kWell);
  breakers_.assign(count, State::kClosed);
  models_.assign(count, BreakerModel(config_.breaker));
  std::vector<cluster::FailureLimit> limits;
  for (const auto& owner : change.list->owners) limits.push_back(owner.member->failure_limit());
  ejections_.emplace(config_.ejection, config_.health, limits);
  ejected_.assign(count, false);
  probe_.resize(count);
}

World::~World() = default;

void World::at(Duration in, Kind kind, std::uint64_t subject, std::uint64_t detail) {
  events_.push({.at = now_ + in, .order = order_++, .kind = kind, .subject = subject, .detail = detail});
}

void World::run(std::uint64_t requests) {
  left_ = requests;
  at(0ms, Kind::kArrive);
  for (std::size_t i = 0; i < moods_.size(); ++i) {
    at(about(250ms), Kind::kCheck, i);
    at(about(1s), Kind::kMood, i);
  }
  while (!events_.empty()) {
    const Event event = events_.top();
    events_.pop();
    now_ = event.at;
    ASSERT_NO_FATAL_FAILURE(happen(event));
    ASSERT_NO_FATAL_FAILURE(wake());
    ASSERT_NO_FATAL_FAILURE(look());
  }
}

void World::happen(const Event& event) {
  const auto request = live_.find(event.subject);
  const bool lives = request != live_.end();
  const bool current = lives && request->second.epoch == event.detail;
  switch (event.kind) {
    case Kind::kArrive:
      arrive();
      break;
    case Kind::kCheck:
      check_health(event.subject);
      break;
    case Kind::kMood:
      change_mood(event.subject);
      break;
    case Kind::kOutcome:
      if (lives) settle(event.subject, event.detail);
      break;
    case Kind::kLeave:
      if (lives) leave(event.subject);
      break;
    case Kind::kHedge:
      if (current && request->second.asked.size() == 1) hedge(event.subject);
      break;
    case Kind::kGoOn:
      if (current) advance(event.subject);
      break;
    case Kind::kWaitEnds:
      if (!current || !request->second.waiting) break;
      ++tally_[kWaitTooLong];
      end(event.subject);
      break;
    case Kind::kTokens:
      if (current) tokens(event.subject);
      break;
  }
}

void World::arrive() {
  if (left_-- > 1) at(about(1ms), Kind::kArrive);
  ++tally_[kRequest];
  const std::uint64_t id = ++arrived_;
  live_[id].allowed = config_.retry.max_attempts;
  live_[id].dispatch =
      std::make_unique<Dispatch>(*dispatcher_, loops_.at(id % 2), inferences_.at(id % inferences_.size()));
  if (random_.below(12) == 0) at(about(15ms), Kind::kLeave, id);
  advance(id);
}

void World::advance(std::uint64_t id) {
  Request& request = live_.at(id);
  request.waiting = false;
  ++request.epoch;
  auto step = request.dispatch->next(now_);
  if (auto* asked = std::get_if<Ask>(&step)) {
    ask(id, std::move(*asked), false);
  } else if (std::holds_alternative<Dispatch::Full>(step)) {
    wait(id);
  } else if (const auto* pause = std::get_if<Dispatch::Pause>(&step)) {
    ++tally_[kPause];
    ASSERT_GE(pause->until, now_);
    ASSERT_LE(pause->until, now_ + config_.retry.max_backoff);
    request.tried.clear();
    at(pause->until - now_, Kind::kGoOn, id, request.epoch);
  } else {
    refuse(id, std::get<Error>(step));
  }
}

void World::wait(std::uint64_t id) {
  ++tally_[kWait];
  const bool someone_is_full =
      std::ranges::any_of(members(), [](const Member& m) { return m.full() && m.state->enabled; });
  ASSERT_TRUE(someone_is_full);
  Request& request = live_.at(id);
  request.waiting = true;
  line_.push_back(id);
  at(config_.queue.timeout, Kind::kWaitEnds, id, request.epoch);
}

void World::ask(std::uint64_t id, Ask ask, bool hedge) {
  Request& request = live_.at(id);
  const std::size_t member = index_of(ask);
  ASSERT_NO_FATAL_FAILURE(check_pick(request, member));
  const State state = record(member).breaker.state();
  ASSERT_NE(state, State::kOpen) << "an open breaker let somebody in";
  const bool probe = state == State::kHalfOpen;
  if (!models_[member].admits(now_)) {
    ++tally_[kLoneProbe];
    ASSERT_NO_FATAL_FAILURE(check_lone_probe(request, member));
  }
  const BreakerModel::Attempt model = models_[member].begins(now_);
  ASSERT_EQ(probe, model.probe) << "the breaker and its model differ";
  ASSERT_FALSE(probe && probe_[member]) << "two probes at a time";
  if (probe) {
    probe_[member] = id;
    ++tally_[kProbe];
    if (breakers_[member] == State::kClosed) ++tally_[kBreakerOpens];
    breakers_[member] = state;
  }
  request.tried.insert(member);
  ASSERT_LT(request.attempts, request.allowed);
  if (request.attempts++ > 0) {
    ++tally_[kRetry];
    // The rest of a broken answer replaces lost work, and is no retry of the budget.
    const bool replaces = !hedge && std::exchange(request.replaces, false);
    if (!replaces && !std::exchange(request.retrying, true)) {
      ++retrying_;
      ASSERT_LE(retrying_, std::max<std::uint64_t>(3, live_.size() * config_.retry.budget_percent / 100));
    }
  }
  const std::uint64_t number = order_;
  auto [mishap, in] = fate(random_, moods_[member]);
  request.asked.push_back({.ask = std::move(ask),
                           .probe = probe,
                           .number = number,
                           .hedge = hedge,
                           .model = model,
                           .mishap = std::move(mishap)});
  at(in, Kind::kOutcome, id, number);
  if (!hedge && random_.below(4) == 0) at(kHedgeAfter, Kind::kHedge, id, request.epoch);
}

void World::hedge(std::uint64_t id) {
  if (auto second = live_.at(id).dispatch->hedge(now_)) {
    ++tally_[kHedge];
    ask(id, std::move(*second), true);
  }
}

void World::settle(std::uint64_t id, std::uint64_t number) {
  Request& request = live_.at(id);
  const auto found = std::ranges::find(request.asked, number, &Asked::number);
  if (found == request.asked.end()) return;
  Asked asked = std::move(*found);
  request.asked.erase(found);
  if (!asked.mishap) {
    succeed(id, std::move(asked));
    return;
  }
  const std::size_t member = index_of(asked.ask);
  const bool neutral =
      asked.mishap->origin == Origin::kClient || asked.mishap->code == ErrorCode::kResourceExhausted;
  if (asked.mishap->reason == "connect_failed" && !std::exchange(request.replaced, true))
    request.replaces = true;
  request.dispatch->failed(std::move(asked.ask), *asked.mishap, now_);
  tell_models(asked, member, !neutral);
  if (asked.mishap->reason == "connect_failed") ejections_->finds_nobody(member);
  if (asked.probe) end_probe(member, neutral);
  if (request.asked.empty()) advance(id);
}

/// A probe that neither fails nor succeeds leaves its turn to the next request.
void World::end_probe(std::size_t member, bool neutral) {
  probe_[member].reset();
  ++tally_[neutral ? kProbeLeaves : kProbeReopens];
  const CircuitBreaker& breaker = record(member).breaker;
  ASSERT_EQ(breaker.state(), State::kOpen);
  // A neutral end leaves the rest of the sleep window, which a lone probe need not await.
  ASSERT_TRUE(neutral || breaker.until_probe(now_) > Duration::zero());
}

void World::succeed(std::uint64_t id, Asked asked) {
  Request& request = live_.at(id);
  request.dispatch->succeeded(asked.ask, now_);
  models_[index_of(asked.ask)].succeeds(asked.model, now_);
  request.ended = ejections_->succeeds(index_of(asked.ask));
  if (asked.probe) {
    probe_[index_of(asked.ask)].reset();
    ++tally_[kProbeCloses];
    ASSERT_EQ(asked.ask.member().record->breaker.state(), State::kClosed);
  }
  if (asked.hedge) {
    ++tally_[kHedgeWins];
    request.dispatch->hedge_won();
  }
  for (Asked& slower : request.asked) lose(request, std::move(slower));
  request.asked.clear();
  if (request.broke) ++tally_[kResume];
  if (std::exchange(request.retrying, false)) --retrying_;
  request.streaming = std::move(asked.ask);
  request.streaming_model = asked.model;
  at(about(20ms), Kind::kTokens, id, ++request.epoch);
}

void World::tell_models(const Asked& asked, std::size_t member, bool failed) {
  if (!failed) return models_[member].leaves(asked.model);
  models_[member].fails(asked.model, now_);
  ejections_->fails(member, {}, now_);
}

/// Its work is cancelled.
void World::drop(const Asked& asked) {
  tell_models(asked, index_of(asked.ask), false);
  if (!asked.probe) return;
  probe_[index_of(asked.ask)].reset();
  ++tally_[kProbeLeaves];
}

/// The other endpoint of the hedge was faster.
void World::lose(Request& request, Asked asked) {
  const std::size_t member = index_of(asked.ask);
  const bool slow = now_ - asked.ask.began() >= kHedgeAfter;
  request.dispatch->outpaced(std::move(asked.ask), kHedgeAfter, now_);
  tell_models(asked, member, slow);
  if (asked.probe) end_probe(member, !slow);
}

void World::tokens(std::uint64_t id) {
  const Mood mood = moods_[index_of(*live_.at(id).streaming)];
  if (mood == Mood::kBreaking || mood == Mood::kGone || random_.below(100) == 0) {
    break_off(id);
    return;
  }
  ++tally_[kAnswer];
  end(id);
}

void World::break_off(std::uint64_t id) {
  Request& request = live_.at(id);
  ++tally_[kBreak];
  Ask ask = std::move(*std::exchange(request.streaming, std::nullopt));
  const std::size_t member = index_of(ask);
  models_[member].fails(request.streaming_model, now_);
  ejections_->fails(member, request.ended, now_);
  const bool got_on = random_.below(4) != 0;
  const bool early = now_ - ask.began() < config_.breaker.window;
  const bool once_more = got_on && (!early || ++request.early_breaks <= config_.retry.max_attempts);
  if (once_more) request.replaces = true;
  request.allowed = once_more ? request.attempts + config_.retry.max_attempts
                    : got_on  ? request.attempts
                              : request.allowed;
  request.dispatch->broke(
      std::move(ask), error_of(ErrorCode::kBadGateway, Origin::kEndpoint, Retry::kElsewhere), got_on, now_);
  if (factory_.made[member]->current_continuation != Continuation::kExact) {
    ++tally_[kNoResume];
    end(id);
    return;
  }
  request.broke = true;
  request.tried = {member};
  request.dispatch->require(Continuation::kExact, inferences_.front());
  advance(id);
}

void World::refuse(std::uint64_t id, const Error& error) {
  ++tally_[live_.at(id).broke ? kNoResume : kRefusal];
  ASSERT_NO_FATAL_FAILURE(check_refusal(live_.at(id)));
  if (error.code == ErrorCode::kUnavailable) ASSERT_GE(error.retry_after.value(), 1s);
  ASSERT_TRUE(error.code != ErrorCode::kInvalidArgument || error.retry == Retry::kNever);
  end(id);
}

void World::leave(std::uint64_t id) {
  Request& request = live_.at(id);
  ++tally_[request.streaming ? kClientLeavesStreaming
           : request.waiting ? kClientLeavesWaiting
                             : kClientLeavesAsking];
  for (const Asked& asked : request.asked) drop(asked);
  end(id);
}

void World::end(std::uint64_t id) {
  Request& request = live_.at(id);
  if (request.waiting) std::erase(line_, id);
  if (request.retrying) --retrying_;
  live_.erase(id);
}

/// The waiting requests look again, in turn, as long as that helps.
void World::wake() {
  for (std::size_t n = line_.size(); n > 0; --n) {
    const std::uint64_t first = line_.front();
    const auto somebody = [&](const Member& m) { return m.max_connections != 0 && !m.full(); };
    if (std::ranges::none_of(members(), somebody)) return;
    line_.pop_front();
    advance(first);
    if (line_.empty() || line_.back() != first) continue;
    line_.pop_back();  // first in line, as before
    line_.push_front(first);
    return;
  }
}

void World::check_health(std::size_t member) {
  if (left_ == 0 && live_.empty()) return;
  using enum cluster::CheckResult;
  const Mood mood = moods_[member];
  const bool unwell = mood == Mood::kFailing || mood == Mood::kHanging;
  dispatcher_->endpoints().checked(record(member),
                                   mood == Mood::kGone ? kAbsent
                                   : unwell            ? kUnwell
                                                       : kWell,
                                   now_);
  if (ejections_->checked(member, mood != Mood::kGone && !unwell, now_)) models_[member].comes_back(now_);
  at(about(250ms), Kind::kCheck, member);
}

void World::change_mood(std::size_t member) {
  if (left_ == 0 && live_.empty()) return;
  const bool was_well = moods_[member] == Mood::kWell;
  moods_[member] = was_well ? static_cast<Mood>(1 + random_.below(5)) : Mood::kWell;
  members()[member].state->reported = static_cast<std::uint32_t>(random_.below(5));
  const bool drain = random_.below(8) == 0;
  if (drain) ++tally_[kDrain];
  dispatcher_->endpoints().set_enabled(members()[member].name(), !drain);
  at(about(was_well ? 900ms : 1500ms), Kind::kMood, member);
}

}  // namespace autoglm::gateway
