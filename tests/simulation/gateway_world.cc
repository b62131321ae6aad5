#include "gateway_world.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace autoglm::gateway {

using namespace std::chrono_literals;
using enum Saw;
using State = CircuitBreaker::State;

World::World(std::uint64_t seed, Balance balance) : random_(seed), config_(config_of(random_, balance)) {
  std::vector<Endpoint*> endpoints;
  std::vector<std::shared_ptr<EndpointRecord>> records;
  for (const EndpointConfig& endpoint : config_.endpoints) {
    endpoints_.push_back(std::make_unique<FakeEndpoint>("m"));
    if (random_.below(2) == 0) endpoints_.back()->current_continuation = Continuation::kExact;
    endpoints.push_back(endpoints_.back().get());
    records.push_back(records_.of(endpoint.url, endpoint.url, config_.breaker));
  }
  dispatcher_ = std::make_unique<Dispatcher>("m", config_, metrics_, endpoints, records);
  for (int i = 0; i < 2; ++i)
    loops_.push_back({.balancer = factory_of(balance)(random_()), .random = Random(random_())});
  for (char first = 'a'; first < 'g'; ++first) {
    inferences_.push_back({});
    inferences_.back().work = GenerateRequest{.prompts = {TextPrompt{std::string(600, first)}}};
  }
  moods_.assign(endpoints.size(), Mood::kWell);
  breakers_.assign(endpoints.size(), State::kClosed);
  ejected_.assign(endpoints.size(), false);
  probe_.resize(endpoints.size());
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
  if (auto* asked = std::get_if<Dispatch::Ask>(&step)) {
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

/// 0 is asked before 1, and so on. The rule of docs/gateway.md, written once more.
int World::tier(std::size_t index) {
  const EndpointSet& set = dispatcher_->endpoints();
  const Member& member = members()[index];
  set.look(outlook_, now_);
  const bool available = member.state->health.well() && !member.state->health.ejected(now_);
  const bool panic = outlook_.panic && outlook_.any_well;
  if (!member.backup && (panic ? !member.state->health.absent() : available)) return 0;
  if (member.backup && available) return 1;
  return member.backup ? 3 : 2;
}

void World::check_pick(const Request& request, std::size_t picked) {
  const Member& member = members()[picked];
  ASSERT_TRUE(member.state->enabled) << "a drained one was asked";
  ASSERT_FALSE(request.tried.contains(picked)) << "the same was asked again";
  ASSERT_TRUE(!request.broke || endpoints_[picked]->current_continuation == Continuation::kExact);
  const int tier_picked = tier(picked);
  if (tier_picked == 1) ++tally_[kBackup];
  if (tier_picked > 1) ++tally_[kLastResort];
  for (std::size_t i = 0; i < moods_.size(); ++i) {
    const bool could = i != picked && members()[i].state->enabled && !request.tried.contains(i) &&
                       dispatcher_->endpoints().breaker(i).admits(now_) &&
                       (!request.broke || endpoints_[i]->current_continuation == Continuation::kExact);
    // For one that is well a place is waited for; not for one that is not.
    if (tier_picked == 3 && members()[i].full()) continue;
    ASSERT_TRUE(!could || tier(i) >= tier_picked) << "somebody better was there";
  }
}

void World::ask(std::uint64_t id, Dispatch::Ask ask, bool hedge) {
  Request& request = live_.at(id);
  const std::size_t member = ask.member;
  ASSERT_NO_FATAL_FAILURE(check_pick(request, member));
  const State state = dispatcher_->endpoints().breaker(member).state();
  ASSERT_NE(state, State::kOpen) << "an open breaker let somebody in";
  const bool probe = state == State::kHalfOpen;
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
    // The rest of a broken answer takes the place of what was lost, and is nobody's retry.
    const bool replaces = !hedge && std::exchange(request.replaces, false);
    if (!replaces && !std::exchange(request.retrying, true)) {
      ++retrying_;
      ASSERT_LE(retrying_, std::max<std::uint64_t>(3, live_.size() * config_.retry.budget_percent / 100));
    }
  }
  const std::uint64_t number = order_;
  auto [mishap, in] = fate(random_, moods_[member]);
  request.asked.push_back(
      {.ask = std::move(ask), .probe = probe, .number = number, .hedge = hedge, .mishap = std::move(mishap)});
  at(in, Kind::kOutcome, id, number);
  if (!hedge && random_.below(4) == 0) at(15ms, Kind::kHedge, id, request.epoch);
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
  const std::size_t member = asked.ask.member;
  const bool neutral =
      asked.mishap->origin == Origin::kClient || asked.mishap->code == ErrorCode::kResourceExhausted;
  if (asked.probe) {
    probe_[member].reset();
    ++tally_[neutral ? kProbeLeaves : kProbeReopens];
  }
  if (asked.mishap->reason == "connect_failed" && !std::exchange(request.replaced, true))
    request.replaces = true;
  request.dispatch->failed(std::move(asked.ask), *asked.mishap, now_);
  if (asked.probe) {
    const CircuitBreaker& breaker = dispatcher_->endpoints().breaker(member);
    ASSERT_EQ(breaker.state(), State::kOpen);
    ASSERT_EQ(breaker.until_probe(now_) == Duration::zero(), neutral)
        << "who neither fails nor succeeds leaves the probe to the next";
  }
  if (request.asked.empty()) advance(id);
}

void World::succeed(std::uint64_t id, Asked asked) {
  Request& request = live_.at(id);
  request.dispatch->succeeded(asked.ask, now_);
  if (asked.probe) {
    probe_[asked.ask.member].reset();
    ++tally_[kProbeCloses];
    ASSERT_EQ(dispatcher_->endpoints().breaker(asked.ask.member).state(), State::kClosed);
  }
  if (asked.hedge) {
    ++tally_[kHedgeWins];
    request.dispatch->hedge_won();
  }
  for (const Asked& slower : request.asked) drop(slower);
  request.asked.clear();
  if (request.broke) ++tally_[kResume];
  if (std::exchange(request.retrying, false)) --retrying_;
  request.member = asked.ask.member;
  request.place = std::move(asked.ask.place);
  at(about(20ms), Kind::kTokens, id, ++request.epoch);
}

/// Its work is cancelled.
void World::drop(const Asked& asked) {
  if (!asked.probe) return;
  probe_[asked.ask.member].reset();
  ++tally_[kProbeLeaves];
}

void World::tokens(std::uint64_t id) {
  const Mood mood = moods_[*live_.at(id).member];
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
  const std::size_t member = *std::exchange(request.member, std::nullopt);
  request.place.reset();
  const bool got_on = random_.below(4) != 0;
  request.replaces = got_on;
  request.allowed = got_on ? request.attempts + config_.retry.max_attempts : request.allowed;
  request.dispatch->broke(member, error_of(ErrorCode::kBadGateway, Origin::kEndpoint, Retry::kElsewhere),
                          got_on, now_);
  const bool exact = endpoints_[member]->current_continuation == Continuation::kExact;
  if (!exact) {
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
  if (error.code == ErrorCode::kUnavailable) ASSERT_GE(error.retry_after.value(), 1s);
  ASSERT_TRUE(error.code != ErrorCode::kInvalidArgument || error.retry == Retry::kNever);
  end(id);
}

void World::leave(std::uint64_t id) {
  Request& request = live_.at(id);
  ++tally_[request.member    ? kClientLeavesStreaming
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

/// Whoever waits looks again, in turn, as long as that helps.
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
  dispatcher_->endpoints().checked(member, mood == Mood::kGone ? kAbsent : unwell ? kUnwell : kWell, now_);
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

/// What must hold whatever has happened; and what has.
void World::look() {
  std::size_t out = 0;
  for (std::size_t i = 0; i < moods_.size(); ++i) {
    const Member& member = members()[i];
    ASSERT_TRUE(member.max_connections == 0 || member.in_flight() <= member.max_connections);
    const State state = dispatcher_->endpoints().breaker(i).state();
    ASSERT_EQ(state == State::kHalfOpen, probe_[i].has_value()) << "a probe that nobody is";
    if (breakers_[i] == State::kClosed && state == State::kOpen) ++tally_[kBreakerOpens];
    breakers_[i] = state;
    const bool ejected = member.state->health.ejected(now_);
    if (ejected != ejected_[i]) ++tally_[ejected ? kEjection : kReturn];
    ejected_[i] = ejected;
    out += ejected ? 1 : 0;
  }
  ASSERT_LE(out * 100, moods_.size() * config_.ejection.max_percent);
  ASSERT_LT(out, moods_.size());
}

void World::check_at_rest() {
  EXPECT_TRUE(live_.empty());
  EXPECT_EQ(retrying_, 0U);
  for (std::size_t i = 0; i < moods_.size(); ++i) {
    EXPECT_EQ(members()[i].in_flight(), 0U);
    EXPECT_FALSE(probe_[i]);
  }
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(dispatcher_->budget().try_retry()) << "as if nobody had come";
  tally_[kPanicPick] += static_cast<std::uint64_t>(metrics_.panics.value());
  tally_[kBudgetSpent] += static_cast<std::uint64_t>(metrics_.retries_refused.value());
}

}  // namespace autoglm::gateway
