#include "gateway/admission/shared/redis_take.h"

#include "gateway/admission/shared/scripts.h"
#include "redis/slot.h"
#include "runtime/race.h"

#include <algorithm>
#include <array>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::size_t kNumbersOfATake = 6;
constexpr std::array<double, 8> kSeconds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1};

const std::string kServersTime;

Duration of_microseconds(std::int64_t count) {
  return std::chrono::microseconds(std::max<std::int64_t>(count, 0));
}

}  // namespace

RedisMetrics::RedisMetrics(observe::MetricRegistry& registry)
    : up(registry.gauge("autoglm_redis_up",
                        "1 while all loops reach Redis, which counts the shared limits.")),
      late(registry.counter("autoglm_redis_late_total", "Decisions that Redis did not make in time.")),
      errors(registry.counter("autoglm_redis_errors_total", "Decisions in whose place Redis sent an error.")),
      seconds(registry.histogram("autoglm_redis_decision_seconds", "How long Redis took for a decision.",
                                 kSeconds)) {}

RedisTake::RedisTake(std::shared_ptr<redis::Client> client, const RedisMetrics& metrics, Duration timeout,
                     const std::string& prefix, std::vector<SharedAsk> asks)
    : client_(std::move(client)), metrics_(metrics), timeout_(timeout), decisions_(asks.size()) {
  asked_.reserve(asks.size());
  for (SharedAsk& ask : asks) {
    // A window's state is none of a bucket's: a limit that changes from one to the other begins anew.
    std::string key = prefix + ask.name + (ask.spec->kind == 'w' ? ":w" : ":b");
    asked_.push_back({.key = std::move(key), .ask = std::move(ask)});
  }
}

std::vector<RedisTake::Group> RedisTake::groups(bool is_cluster) const {
  std::vector<Group> groups;
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    const auto same = std::ranges::find_if(groups, [&](const Group& group) {
      return !is_cluster || redis::slot_of(asked_[group.front()].key) == redis::slot_of(asked_[i].key);
    });
    if (same == groups.end()) {
      groups.push_back({i});
    } else {
      same->push_back(i);
    }
  }
  return groups;
}

void RedisTake::begin() {
  const auto client = client_.lock();
  failed_ = client == nullptr;
  for (Group& group : client ? groups(client->is_cluster()) : std::vector<Group>())
    if (!ask(*client, std::move(group))) failed_ = true;
  if (failed_) done_.set();
}

bool RedisTake::ask(redis::Client& client, Group group) {
  std::vector<std::string> keys, arguments = {kServersTime};
  for (const std::size_t i : group) {
    keys.push_back(asked_[i].key);
    for (std::string& word : asked_[i].ask.spec->words()) arguments.push_back(std::move(word));
    arguments.push_back(std::to_string(asked_[i].ask.amount));
  }
  const auto mark = [this](const Group& of, bool is_decided) {
    for (const std::size_t i : of) asked_[i].is_decided = is_decided;
  };
  mark(group, false);
  ++unanswered_;
  const bool sent = client.run(
      take_script(), keys, arguments,
      [self = shared_from_this(), group](const Result<redis::Reply>& reply) { self->note(group, reply); });
  if (!sent) {
    mark(group, true);
    --unanswered_;
  }
  return sent;
}

void RedisTake::note(const Group& group, const Result<redis::Reply>& reply) {
  for (const std::size_t i : group) asked_[i].is_decided = true;
  if (reply && !reply->is_error() && read(group, *reply)) {
    metrics_.seconds.observe(to_seconds(std::chrono::steady_clock::now() - begun_));
  } else {
    failed_ = true;
    if (reply) metrics_.errors.add();
  }
  if (--unanswered_ == 0 || failed_) done_.set();
  if (used_ && reply) settle_decided(group);
}

bool RedisTake::read(const Group& group, const redis::Reply& reply) {
  if (reply.elements.size() != group.size() * kNumbersOfATake) return false;
  const redis::Reply* numbers = reply.elements.data();
  for (const std::size_t i : group) {
    RateDecision& decision = decisions_[i];
    const std::int64_t what = numbers[0].integer;
    decision.verdict = what == 1 ? Verdict::kLater : Verdict::kAdmitted;
    (what == 1 ? decision.retry_after : decision.delay) = of_microseconds(numbers[1].integer);
    decision.state = {.limit = asked_[i].ask.spec->room,
                      .remaining = static_cast<std::uint64_t>(std::max<std::int64_t>(numbers[2].integer, 0)),
                      .reset = of_microseconds(numbers[3].integer)};
    asked_[i].is_taken = what == 0;
    asked_[i].born = numbers[4].integer;
    asked_[i].position = numbers[5].integer;
    numbers += kNumbersOfATake;
  }
  return true;
}

Task<bool> RedisTake::answered() {
  if (!co_await with_deadline(Deadline(begun_ + timeout_), raised(done_), "Redis")) {
    // When this loop itself was late, the reply may be here.
    co_await yield_to_loop();
    if (!done_.is_set()) {
      metrics_.late.add();
      if (const auto client = client_.lock()) client->doubt(asked_.front().key);
      co_return false;
    }
  }
  co_return !failed_;
}

void RedisTake::settle(std::span<const std::uint64_t> used) {
  used_.emplace(used.begin(), used.end());
  for (const Group& group : groups(is_cluster())) settle_decided(group);
}

bool RedisTake::is_cluster() const {
  const auto client = client_.lock();
  return client && client->is_cluster();
}

void RedisTake::settle_decided(const Group& group) {
  std::vector<std::string> keys, arguments = {kServersTime};
  for (const std::size_t i : group) {
    const Asked& asked = asked_[i];
    if (!asked.is_decided) continue;
    const std::uint64_t used = (*used_)[i] == kAsReserved ? asked.ask.amount : (*used_)[i];
    const std::uint64_t reserved = asked.is_taken ? asked.ask.amount : 0;
    if (used == reserved) continue;
    keys.push_back(asked.key);
    for (std::string& word : asked.ask.spec->words()) arguments.push_back(std::move(word));
    for (const std::string& word : {std::to_string(reserved), std::to_string(asked.born),
                                    std::to_string(asked.position), std::to_string(used)})
      arguments.push_back(word);
  }
  const auto client = client_.lock();
  // What cannot be given back drains by itself.
  if (!keys.empty() && client) client->tell(settle_script(), keys, arguments);
}

}  // namespace autoglm::gateway
