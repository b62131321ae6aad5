#include "cluster/discovery/followed.h"

#include "cluster/discovery/instance_shape.h"
#include "runtime/event_loop.h"

#include <chrono>
#include <exception>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr Duration kAfterException = std::chrono::seconds(1);  // memory may be back
// What a registry says about so many is taken at once; longer lists when changes are handed over.
constexpr std::size_t kShortList = 256;

MonotonicTime now_there() { return std::chrono::steady_clock::now(); }

}  // namespace

Discovery::Followed::Followed(Discovery& discovery, Source source, std::string name,
                              observe::MetricRegistry& metrics)
    : discovery_(discovery),
      config_(std::move(source.config)),
      registry_(std::move(source.registry)),
      name_(std::move(name)),
      guard_({.max_shrink_percent = config_.max_shrink_percent, .hold = config_.hold}),
      failures_(metrics.counter("autoglm_discovery_failures_total",
                                "Times that a registry could not be asked.", labels())) {
  const auto gauge = [&](const char* name, const char* help, auto read) {
    gauges_.push_back(metrics.callback(observe::MetricRegistry::Kind::kGauge, name, help, labels(),
                                       [read] { return static_cast<double>(read()); }));
  };
  gauge("autoglm_discovery_up", "Whether the registry could be asked last.", [this] { return up_.load(); });
  gauge("autoglm_discovery_members", "Servers that a registry has given to a model's pool.",
        [this] { return count_.load(); });
  gauge("autoglm_discovery_held", "Of them, those that the registry no longer lists.",
        [this] { return held_.load(); });
}

Task<void> Discovery::Followed::run() {
  while (true) {
    std::string why;
    try {
      co_await registry_->run(*this);
    } catch (const std::exception& exception) {
      why = exception.what();
    }
    fail(Error{.code = ErrorCode::kInternal, .message = "following the registry has ended: " + why});
    co_await sleep_for(kAfterException);
  }
}

void Discovery::Followed::push(std::vector<Instance> instances) {
  if (!answered_ || !trouble_.empty())
    log("the registry answers", observe::LogLevel::kInfo, {"instances", instances.size()});
  answered_ = true;
  trouble_.clear();
  complaints_.end();
  up_ = 1;
  // Of long lists that come faster than changes are handed over, only the last one counts.
  const bool is_short = instances.size() <= kShortList;
  if (is_short) digest();
  pushed_ = std::move(instances);
  if (is_short) digest();
  discovery_.dirty_.set();
}

void Discovery::Followed::digest() {
  if (!pushed_) return;
  std::vector<Instance> instances = *std::exchange(pushed_, std::nullopt);
  listed_ = instances.size();
  std::string why;
  auto specs = shaped(std::move(instances), why);
  if (!why.empty() && why != told_why_)
    log("an instance of the registry is left out", observe::LogLevel::kWarning, {"why", why});
  told_why_ = std::move(why);
  const std::size_t held_before = guard_.held();
  const bool changed = guard_.offer(specs, now_there());
  if (known_.size() > guard_.members().size()) forget_others();
  if (guard_.held() > held_before)
    log("the registry no longer lists many servers: they are held", observe::LogLevel::kWarning,
        {"held", guard_.held()});
  // A hold that begins has an end, for which somebody must wake up.
  note(changed || guard_.held() != held_before);
}

void Discovery::Followed::fail(const Error& error) {
  failures_.add();
  up_ = 0;
  const std::string message = error.log_message();
  // Once for each kind of trouble, not with every attempt.
  if (complaints_.is_news(error, now_there()))
    log("the registry cannot be asked: its last list stays", observe::LogLevel::kWarning, {"error", message});
  trouble_ = message;
  failed_once_ = true;
  discovery_.dirty_.set();
}

void Discovery::Followed::release() {
  const auto due = guard_.release_at();
  if (!due || *due > now_there()) return;
  const std::unordered_set<std::string> well = discovery_.options_.well();
  note(guard_.release(now_there(), [&](const EndpointSpec& spec) { return well.contains(spec.url); }));
}

void Discovery::Followed::inherit(const Followed& before) {
  if (config_ == before.config_) {
    guard_ = before.guard_;
    known_ = before.known_;
  } else {
    // All members by the configuration of now; then those that are held leave again, by its rules.
    std::string why;
    std::vector<Instance> listed, all;
    for (const Known& each : before.known_) {
      if (!before.guard_.is_held(each.spec->url)) listed.push_back(each.instance);
      all.push_back(each.instance);
    }
    guard_.offer(shaped(std::move(all), why), now_there());
    guard_.offer(shaped(std::move(listed), why), now_there());
  }
  answered_ = before.answered_;
  trouble_ = before.trouble_;
  complaints_ = before.complaints_;
  listed_ = before.listed_;
  skipped_ = before.skipped_;
  up_ = before.up_.load();
  pushed_ = before.pushed_;
  note(pushed_.has_value());
}

std::vector<MemberGuard::Spec> Discovery::Followed::shaped(std::vector<Instance> instances,
                                                           std::string& why) {
  ++round_;
  std::vector<MemberGuard::Spec> specs;
  for (Instance& each : instances) {
    auto known = known_.find(each);
    if (known == known_.end()) {
      if (!counts(each, config_)) continue;
      auto spec = endpoint_of(each, config_, why);
      if (!spec) continue;
      known = known_
                  .insert({.instance = std::move(each),
                           .spec = std::make_shared<const EndpointSpec>(std::move(*spec))})
                  .first;
    }
    known->round = round_;
    specs.push_back(known->spec);
  }
  skipped_ = instances.size() - specs.size();
  return specs;
}

void Discovery::Followed::forget_others() {
  std::erase_if(
      known_, [this](const Known& each) { return each.round != round_ && !guard_.is_held(each.spec->url); });
}

void Discovery::Followed::log(std::string_view message, observe::LogLevel level,
                              const observe::LogField& more) const {
  discovery_.log_.log(level, message, {{"model", discovery_.options_.model}, {"registry", name()}, more}, {});
}

}  // namespace autoglm::cluster
