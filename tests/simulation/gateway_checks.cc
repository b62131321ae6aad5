// The checks of a world: that only eligible endpoints are asked, and that breakers and ejections are as their
// models say.
#include "gateway_world.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {

using enum Saw;
using State = CircuitBreaker::State;

/// Tier 0 is asked before 1, and so on: a second implementation of docs/gateway.md.
int World::tier(std::size_t index) {
  const EndpointSet& set = dispatcher_->endpoints();
  const Member& member = members()[index];
  set.look(outlook_, now_);
  const bool available = this->available(index);
  const bool panic = outlook_.panic && outlook_.any_well;
  if (!member.backup && (panic ? !member.state->health.absent() : available)) return 0;
  if (member.backup && available) return 1;
  return member.backup ? 3 : 2;
}

bool World::available(std::size_t member) {
  const auto& health = members()[member].state->health;
  return health.well() && !health.ejected(now_);
}

bool World::has_place(std::size_t member) {
  return members()[member].state->enabled && !members()[member].full();
}

/// Whether all breakers are open, of members that are not drained.
bool World::everybody_is_shut() {
  for (std::size_t i = 0; i < moods_.size(); ++i)
    if (members()[i].state->enabled && (admits(i) || !models_[i].is_open())) return false;
  return true;
}

/// Asks the breaker and its model, which must agree.
bool World::admits(std::size_t member) {
  const bool admitted = record(member).breaker.admits(now_);
  EXPECT_EQ(admitted, models_[member].admits(now_)) << "the breaker and its model differ";
  return admitted;
}

void World::check_pick(const Request& request, std::size_t picked) {
  const Member& member = members()[picked];
  ASSERT_TRUE(member.state->enabled) << "a drained one was asked";
  ASSERT_FALSE(request.tried.contains(picked)) << "the same was asked again";
  ASSERT_TRUE(!request.broke || factory_.made[picked]->current_continuation == Continuation::kExact);
  const int tier_picked = tier(picked);
  if (tier_picked == 1) ++tally_[kBackup];
  if (tier_picked > 1) ++tally_[kLastResort];
  for (std::size_t i = 0; i < moods_.size(); ++i) {
    const bool could = i != picked && members()[i].state->enabled && !request.tried.contains(i) &&
                       admits(i) &&
                       (!request.broke || factory_.made[i]->current_continuation == Continuation::kExact);
    // A request waits for a place at a healthy member, and not at an unhealthy one.
    if (tier_picked == 3 && members()[i].full()) continue;
    ASSERT_TRUE(!could || tier(i) >= tier_picked) << "somebody better was there";
  }
}

/// An open breaker admits a request only while all are open, without a probe under way, and as the request's
/// only attempt.
void World::check_lone_probe(const Request& request, std::size_t picked) {
  ASSERT_TRUE(everybody_is_shut()) << "the breaker's model is open, and not everybody's is";
  ASSERT_EQ(request.attempts, 0U) << "a probe that nobody else could be is nobody's retry";
  for (std::size_t i = 0; i < moods_.size(); ++i)
    ASSERT_TRUE(available(picked) || !available(i) || !has_place(i)) << "somebody better was there";
}

/// No request is refused that could have been that probe.
void World::check_refusal(const Request& request) {
  if (request.attempts > 0 || !everybody_is_shut()) return;
  for (std::size_t i = 0; i < moods_.size(); ++i)
    ASSERT_FALSE(has_place(i)) << "nobody was asked while every breaker was open";
}

/// Checks what must always hold, and tallies what has happened.
void World::look() {
  std::size_t out = 0;
  for (std::size_t i = 0; i < moods_.size(); ++i) {
    const Member& member = members()[i];
    ASSERT_TRUE(member.max_connections == 0 || member.in_flight() <= member.max_connections);
    admits(i);  // as a pick does for some members; a look makes up for a window at most
    const State state = record(i).breaker.state();
    ASSERT_EQ(state == State::kHalfOpen, probe_[i].has_value()) << "a probe that nobody is";
    if (breakers_[i] == State::kClosed && state == State::kOpen) ++tally_[kBreakerOpens];
    breakers_[i] = state;
    const bool ejected = member.state->health.ejected(now_);
    ASSERT_EQ(ejected, ejections_->ejected(i, now_)) << "the pool and its model differ";
    ASSERT_EQ(member.state->health.well(), ejections_->well(i)) << "the pool and its model differ";
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
