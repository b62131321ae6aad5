#include "http/idle_connections.h"

#include "runtime/loop_time.h"

#include <algorithm>
#include <iterator>
#include <span>

namespace autoglm::http {

namespace {
constexpr std::size_t kKeptOrigins = 64;
}

void Connection::stirred() { keeper_->heard(*this); }

/// A TLS record may concern keys only: a read tells whether any data has come.
bool Connection::quiet() {
  char byte = 0;
  auto reading = stream->read_some(std::span(&byte, 1));
  return !reading.start();
}

std::unique_ptr<Connection> IdleConnections::take(const std::string& origin) {
  const auto found = kept_.find(origin);
  if (found == kept_.end()) return nullptr;
  std::unique_ptr<Connection> taken;
  const auto now = loop_time();
  auto& kept = found->second;
  while (!kept.empty() && !taken) {
    taken = std::move(kept.back());
    kept.pop_back();
    if (taken->until_ <= now || (taken->is_linked() && !taken->quiet())) taken.reset();
  }
  // A few origins keep their empty entries, since they are asked again and again.
  if (kept.empty() && kept_.size() > kKeptOrigins) kept_.erase(found);
  if (!taken) return nullptr;
  if (taken->is_linked()) taken->unlink();
  taken->stream->watch(nullptr);
  return taken;
}

void IdleConnections::keep(const std::string& origin, std::unique_ptr<Connection> connection) {
  const auto now = loop_time();
  if (connection->reuse_until <= now) return;
  auto& kept = kept_[origin];
  Connection& added = *kept.emplace_back(std::move(connection));
  added.keeper_ = this;
  added.place_ = &kept;
  added.until_ = std::min(now + time_, added.reuse_until);
  if (!closing_.armed() || added.until_ < closing_.at()) closing_.arm(added.until_);
  added.stream->watch(&added);
  if (kept.size() > most_) kept.erase(kept.begin());
}

/// Called while the loop handles events, so nothing may be closed here.
void IdleConnections::heard(Connection& connection) {
  if (!connection.is_linked()) stirred_.push_back(connection);
  if (!looking_.armed()) looking_.arm(MonotonicTime::min());
}

void IdleConnections::close_stirred() {
  while (!stirred_.empty()) {
    Connection& connection = stirred_.front();
    stirred_.pop_front();
    if (connection.quiet()) continue;
    std::erase_if(*connection.place_, [&](const auto& kept) { return kept.get() == &connection; });
  }
}

void IdleConnections::close_old() {
  const auto now = loop_time();
  MonotonicTime next = MonotonicTime::max();
  for (auto entry = kept_.begin(); entry != kept_.end();) {
    std::erase_if(entry->second, [now](const auto& kept) { return kept->until_ <= now; });
    for (const auto& kept : entry->second) next = std::min(next, kept->until_);
    entry = entry->second.empty() ? kept_.erase(entry) : std::next(entry);
  }
  // At intervals, so that many connections are closed together.
  if (!kept_.empty()) closing_.arm(std::max(next, now + time_ / 30));
}

std::size_t IdleConnections::size() const {
  std::size_t count = 0;
  for (const auto& [origin, kept] : kept_) count += kept.size();
  return count;
}

}  // namespace autoglm::http
