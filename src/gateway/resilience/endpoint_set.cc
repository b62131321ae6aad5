#include "gateway/resilience/endpoint_set.h"

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

EndpointSet::EndpointSet(const PoolConfig& config, std::shared_ptr<WaitingLine> line)
    : config_(config), line_(line ? std::move(line) : std::make_shared<WaitingLine>(config.queue.size)) {}

void EndpointSet::set(std::shared_ptr<const MemberList> list) {
  list_.set(std::move(list));
  changed();
}

void EndpointSet::take_effect() {
  line_->set_limit(config_.queue.size);
  const auto list = list_.get();
  for (const std::uint32_t slot : list->order) list->owners[slot].record->breaker.configure(config_.breaker);
}

void EndpointSet::look(Outlook& outlook, MonotonicTime now) const {
  const std::uint64_t version = version_.load(std::memory_order_acquire);
  if (outlook.version == version && now < outlook.until) return;
  // The version first: a list that is newer than it costs another look, and no change is missed.
  if (outlook.version != version) outlook.list = list_.get();
  outlook = {.list = std::move(outlook.list), .version = version, .until = MonotonicTime::max()};
  std::uint64_t enabled = 0;
  std::uint64_t well = 0;
  for (const Member& member : outlook.list->members) {
    if (member.endpoint == nullptr) continue;
    const auto& health = member.state->health;
    if (health.ejected(now)) outlook.until = std::min(outlook.until, health.ejected_until());
    const bool is_available = available(member, now);
    if (member.backup) {
      outlook.any_backup |= is_available;
      continue;
    }
    enabled += member.state->enabled.load(std::memory_order_relaxed) ? 1 : 0;
    well += is_available ? 1 : 0;
  }
  outlook.any_well = well > 0;
  outlook.panic = well * 100 < enabled * config_.health.panic_percent;
}

bool EndpointSet::checked(EndpointRecord& record, cluster::CheckResult result, MonotonicTime now) {
  cluster::EndpointHealth& health = record.state.health;
  const bool news = health.checked(result, config_.health, now);
  if (health.came_back()) record.breaker.expect_return(now);
  if (news) changed();
  return news;
}

/// The last endpoint is never ejected: without it, an error would be certain.
bool EndpointSet::failed(const PoolMember& member, const MemberList& list,
                         cluster::EndpointHealth::Failures ended, MonotonicTime now) {
  cluster::EndpointHealth& health = member.record->state.health;
  const Duration time = health.failed(config_.ejection, member.failure_limit(), now, ended);
  if (time == Duration::zero()) return false;
  {
    const std::lock_guard lock(ejecting_);
    if (health.ejected(now)) return false;
    const auto out = static_cast<std::uint64_t>(std::ranges::count_if(
        list.members, [now](const Member& other) { return other.state->health.ejected(now); }));
    if (out + 1 >= list.size() || (out + 1) * 100 > list.size() * config_.ejection.max_percent) return false;
    health.eject(time, now);
  }
  member.record->ejections.add();
  changed();
  return true;
}

std::optional<CircuitBreaker::Permission> EndpointSet::probe_alone(const MemberList& list, std::size_t slot,
                                                                   MonotonicTime now) {
  const std::lock_guard lock(probing_);
  for (const std::uint32_t each : list.order) {
    if (!list.members[each].state->enabled.load(std::memory_order_relaxed)) continue;
    CircuitBreaker& breaker = list.owners[each].record->breaker;
    if (breaker.admits(now) || breaker.state() != CircuitBreaker::State::kOpen) return std::nullopt;
  }
  return list.owners[slot].record->breaker.try_probe();
}

bool EndpointSet::set_enabled(std::string_view name, bool enabled) {
  const auto list = list_.get();
  bool found = false;
  for (const std::uint32_t slot : list->order) {
    const Member& member = list->members[slot];
    if (member.name() != name) continue;
    member.state->enabled.store(enabled);
    found = true;
  }
  if (found) changed();
  return found;
}

/// A request that waits may find a place now.
void EndpointSet::changed() {
  version_.fetch_add(1, std::memory_order_release);
  line_->wake_all();
}

void EndpointSet::leave(cluster::MemberState& state) {
  state.in_flight.fetch_sub(1);
  line_->wake_one();  // one atomic read when no request waits
}

}  // namespace autoglm::gateway
