#include "ejection_model.h"

#include <algorithm>

namespace autoglm::gateway {

EjectionModel::EjectionModel(const cluster::EjectionConfig& ejection, const cluster::HealthConfig& health,
                             const std::vector<cluster::FailureLimit>& limits)
    : ejection_(ejection), health_(health) {
  for (const cluster::FailureLimit& limit : limits) members_.push_back({.limit = limit});
}

/// For how long a failure ejects the member; zero: not yet.
Duration EjectionModel::earned(MemberState& state, Streak ended, MonotonicTime now) const {
  Duration time = Duration::zero();
  state.streak.in_a_row += 1 + ended.in_a_row;
  if (ejection_.consecutive_failures != 0 && state.streak.in_a_row >= ejection_.consecutive_failures) {
    if (now - state.out_until > ejection_.max_time) state.times_out = 0;
    time = std::min<Duration>(ejection_.base_time * (state.times_out + 1), ejection_.max_time);
  }
  if (state.limit.max_fails == 0) return time;
  if (now - state.window_began > state.limit.window) {
    state.window_began = now;
    state.streak.in_window = ended.in_window = 0;
  }
  state.streak.in_window += 1 + ended.in_window;
  return state.streak.in_window >= state.limit.max_fails ? std::max(time, state.limit.window) : time;
}

void EjectionModel::fails(std::size_t member, Streak ended, MonotonicTime now) {
  if (ejected(member, now)) return;  // the request began before the ejection
  MemberState& state = members_[member];
  const Duration time = earned(state, ended, now);
  std::size_t out = 1;
  for (std::size_t i = 0; i < members_.size(); ++i) out += ejected(i, now) ? 1 : 0;
  if (time == Duration::zero() || out == members_.size() ||
      out * 100 > members_.size() * ejection_.max_percent)
    return;
  ++state.times_out;
  state.streak = {};
  state.out_until = now + time;
}

void EjectionModel::start_afresh(MemberState& state) {
  state.streak.in_a_row = 0;
  state.out_until = MonotonicTime();
}

/// So many checks in a row change the belief, and as many successes show that the member is back, whether it
/// was believed to be gone or not: that ends an ejection. A member that is well again starts afresh.
bool EjectionModel::checked(std::size_t member, bool well, MonotonicTime now) {
  MemberState& state = members_[member];
  state.successes = well ? state.successes + 1 : 0;
  state.missed |= !well;
  const bool returns = state.missed && well && state.successes >= health_.healthy_after;
  if (returns) state.missed = false;
  if (returns && ejected(member, now)) start_afresh(state);
  state.contradictions = well == state.well ? 0 : state.contradictions + 1;
  if (state.contradictions < (well ? health_.healthy_after : health_.unhealthy_after)) return returns;
  state.contradictions = 0;
  state.well = well;
  if (well) start_afresh(state);
  return returns;
}

}  // namespace autoglm::gateway
