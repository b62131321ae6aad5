#include "gateway/resilience/endpoint_set.h"

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

EndpointSet::EndpointSet(const PoolConfig& config, const std::vector<Endpoint*>& endpoints,
                         std::vector<std::shared_ptr<EndpointRecord>> records,
                         std::shared_ptr<WaitingLine> line)
    : config_(config),
      records_(std::move(records)),
      line_(line ? std::move(line) : std::make_shared<WaitingLine>(config.queue.size)) {
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    const EndpointConfig& endpoint = config.endpoints[i];
    members_.push_back({.state = {records_[i], &records_[i]->state},
                        .endpoint = *endpoints[i],
                        .weight = endpoint.weight,
                        .backup = endpoint.backup,
                        .max_connections = endpoint.max_connections,
                        .slow_start = config.health.slow_start,
                        .failure_limit = {.max_fails = endpoint.max_fails, .window = endpoint.fail_timeout}});
  }
}

void EndpointSet::take_effect() {
  line_->set_limit(config_.queue.size);
  for (const auto& record : records_) record->breaker.configure(config_.breaker);
}

void EndpointSet::look(Outlook& outlook, MonotonicTime now) const {
  const std::uint64_t version = version_.load(std::memory_order_acquire);
  if (outlook.version == version && now < outlook.until) return;
  outlook = {.version = version, .until = MonotonicTime::max()};
  std::uint64_t enabled = 0;
  std::uint64_t well = 0;
  for (const Member& member : members_) {
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

bool EndpointSet::checked(std::size_t member, cluster::CheckResult result, MonotonicTime now) {
  cluster::EndpointHealth& health = members_[member].state->health;
  const bool news = health.checked(result, config_.health, now);
  if (health.came_back()) breaker(member).expect_return(now);
  if (news) changed();
  return news;
}

/// The last endpoint is never ejected: without it, an error would be certain.
bool EndpointSet::failed(std::size_t member, cluster::EndpointHealth::Failures ended, MonotonicTime now) {
  cluster::EndpointHealth& health = members_[member].state->health;
  const Duration time = health.failed(config_.ejection, members_[member].failure_limit, now, ended);
  if (time == Duration::zero()) return false;
  {
    const std::lock_guard lock(ejecting_);
    if (health.ejected(now)) return false;
    const auto out = static_cast<std::uint64_t>(std::ranges::count_if(
        members_, [now](const Member& other) { return other.state->health.ejected(now); }));
    if (out + 1 == members_.size() || (out + 1) * 100 > members_.size() * config_.ejection.max_percent)
      return false;
    health.eject(time, now);
  }
  records_[member]->ejections.add();
  changed();
  return true;
}

std::optional<CircuitBreaker::Attempt> EndpointSet::probe_alone(std::size_t member, MonotonicTime now) {
  const std::lock_guard lock(probing_);
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (!members_[i].state->enabled.load(std::memory_order_relaxed)) continue;
    if (breaker(i).admits(now) || breaker(i).state() != CircuitBreaker::State::kOpen) return std::nullopt;
  }
  return breaker(member).try_probe();
}

bool EndpointSet::set_enabled(std::string_view name, bool enabled) {
  bool found = false;
  for (const Member& member : members_) {
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

void EndpointSet::leave(std::size_t member) {
  members_[member].state->in_flight.fetch_sub(1);
  line_->wake_one();  // one atomic read when no request waits
}

}  // namespace autoglm::gateway
