#include "cluster/discovery/discovery.h"

#include "base/utf8.h"
#include "cluster/discovery/instance_shape.h"
#include "runtime/deadline.h"
#include "runtime/event_loop.h"
#include "runtime/race.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace autoglm::cluster {

namespace {

MonotonicTime now() { return std::chrono::steady_clock::now(); }

std::vector<MemberGuard::Spec> shared(std::vector<EndpointSpec> specs) {
  std::vector<MemberGuard::Spec> all;
  all.reserve(specs.size());
  for (EndpointSpec& each : specs) all.push_back(std::make_shared<const EndpointSpec>(std::move(each)));
  return all;
}

}  // namespace

/// One source: takes what its registry says.
class Discovery::Followed final : public RegistrySink {
 public:
  Followed(Discovery& discovery, Source source, observe::MetricRegistry& metrics)
      : discovery_(discovery),
        config_(std::move(source.config)),
        registry_(std::move(source.registry)),
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

  Task<void> run() { return registry_->run(*this); }

  void push(std::vector<Instance> instances) override {
    if (!answered_ || !trouble_.empty())
      log("the registry answers", observe::LogLevel::kInfo, {"instances", instances.size()});
    answered_ = true;
    trouble_.clear();
    up_ = 1;
    listed_ = instances.size();
    std::vector<EndpointSpec> specs;
    std::string why;
    for (const Instance& each : instances) {
      if (!counts(each, config_)) continue;
      if (auto spec = endpoint_of(each, config_, why)) specs.push_back(std::move(*spec));
    }
    skipped_ = listed_ - specs.size();
    if (!why.empty() && why != told_why_)
      log("an instance of the registry is left out", observe::LogLevel::kWarning, {"why", why});
    told_why_ = std::move(why);
    const std::size_t held_before = guard_.held();
    const bool changed = guard_.offer(shared(std::move(specs)), now());
    if (guard_.held() > held_before)
      log("the registry no longer lists many servers: they are held", observe::LogLevel::kWarning,
          {"held", guard_.held()});
    note(changed);
  }

  void fail(const Error& error) override {
    failures_.add();
    up_ = 0;
    const std::string message = error.log_message();
    // Once for each kind of trouble, not with every attempt.
    if (message != trouble_)
      log("the registry cannot be asked: its last list stays", observe::LogLevel::kWarning,
          {"error", message});
    trouble_ = message;
    failed_once_ = true;
    discovery_.dirty_.set();
  }

  /// Lets those go that are due.
  void release() {
    const auto due = guard_.release_at();
    if (!due || *due > now()) return;
    const std::unordered_set<std::string> well = discovery_.options_.well();
    note(guard_.release(now(), [&](const EndpointSpec& spec) { return well.contains(spec.url); }));
  }
  std::optional<MonotonicTime> release_at() const { return guard_.release_at(); }

  bool is_as(const Followed& other) const { return config_ == other.config_; }
  void inherit(const Followed& before) {
    guard_ = before.guard_;
    answered_ = before.answered_;
    trouble_ = before.trouble_;
    listed_ = before.listed_;
    skipped_ = before.skipped_;
    up_ = before.up_.load();
    note(false);
  }

  const std::vector<MemberGuard::Spec>& members() const { return guard_.members(); }
  const MemberGuard& guard() const { return guard_; }
  const std::string& name() const { return registry_->name(); }
  bool settled() const { return answered_ || failed_once_; }
  SourceView view() const {
    return {.name = name(),
            .answered = answered_,
            .trouble = trouble_,
            .instances = listed_,
            .members = guard_.members().size(),
            .held = guard_.held(),
            .skipped = skipped_};
  }

 private:
  observe::Labels labels() const { return {{"model", discovery_.options_.model}, {"registry", name()}}; }
  void note(bool changed) {
    count_ = guard_.members().size();
    held_ = guard_.held();
    if (changed) discovery_.dirty_.set();
  }
  void log(std::string_view message, observe::LogLevel level, const observe::LogField& more) const {
    discovery_.log_.log(level, message, {{"model", discovery_.options_.model}, {"registry", name()}, more},
                        {});
  }

  Discovery& discovery_;
  const DiscoverConfig config_;
  const std::unique_ptr<Registry> registry_;
  MemberGuard guard_;
  bool answered_ = false;
  bool failed_once_ = false;
  std::string trouble_;
  std::string told_why_;
  std::size_t listed_ = 0;
  std::size_t skipped_ = 0;
  observe::Counter& failures_;
  std::atomic<std::size_t> up_ = 0, count_ = 0, held_ = 0;  // for gauges, which any thread reads
  std::vector<std::shared_ptr<void>> gauges_;               // last: they read the above
};

Discovery::Discovery(Options options, std::vector<Source> sources, MembershipSink& sink,
                     observe::MetricRegistry& metrics, observe::Logger& log)
    : options_(std::move(options)),
      fixed_(shared(std::exchange(options_.fixed, {}))),
      sink_(sink),
      log_(log),
      changes_(metrics.counter("autoglm_discovery_changes_total",
                               "Changes of a pool's servers by its registries.",
                               {{"model", options_.model}})) {
  for (Source& each : sources)
    followed_.push_back(std::make_unique<Followed>(*this, std::move(each), metrics));
}

Discovery::~Discovery() = default;

Task<void> Discovery::run() {
  for (const auto& each : followed_) tasks_.spawn(each->run());
  co_await hand_over_changes();
}

Task<void> Discovery::hand_over_changes() {
  while (true) {
    Duration wait = Duration::max();
    for (const auto& each : followed_)
      if (const auto at = each->release_at()) wait = std::min(wait, std::max(*at - now(), Duration::zero()));
    const Deadline due = wait == Duration::max() ? Deadline::never() : Deadline::after(wait);
    static_cast<void>(co_await with_deadline(due, raised(dirty_), "a change of the servers"));
    for (const auto& each : followed_) each->release();
    if (!dirty_.is_set()) continue;
    dirty_.clear();
    hand_over();
    co_await sleep_for(kBetweenChanges);
  }
}

void Discovery::hand_over() {
  Membership next = membership();
  if (next.endpoints == last_.endpoints) return;
  if (auto applied = sink_.apply(next); !applied) {
    log_.error("the servers that registries name cannot be used",
               {{"model", options_.model}, {"error", applied.error().log_message()}});
    return;
  }
  std::unordered_set<std::string_view> before;
  for (const auto& each : last_.endpoints) before.insert(each->url);
  std::size_t came = 0;
  for (const auto& each : next.endpoints) came += before.erase(each->url) == 0 ? 1 : 0;
  log_.info("servers have changed", {{"model", options_.model},
                                     {"servers", next.endpoints.size()},
                                     {"came", came},
                                     {"left", before.size()}});
  changes_.add();
  last_ = std::move(next);
  options_.changed();
}

Membership Discovery::merged(const std::vector<MemberGuard::Spec>& fixed) const {
  Membership all{.endpoints = fixed};
  std::unordered_set<std::string> urls;
  for (const auto& each : fixed)
    if (const auto url = api_url(*each)) urls.insert(url->origin() + url->target);
  for (const auto& source : followed_) {
    for (const auto& each : source->members())
      if (urls.insert(each->url).second) all.endpoints.push_back(each);
  }
  return all;
}

Membership Discovery::membership_with(std::vector<EndpointSpec> fixed) const {
  return merged(shared(std::move(fixed)));
}

void Discovery::inherit(const Discovery& before) {
  for (const auto& each : followed_)
    for (const auto& other : before.followed_)
      if (each->is_as(*other)) each->inherit(*other);
  last_ = membership();
}

void Discovery::set_fixed(std::vector<EndpointSpec> fixed) {
  fixed_ = shared(std::move(fixed));
  dirty_.set();
}

std::vector<Discovery::SourceView> Discovery::sources() const {
  std::vector<SourceView> views;
  for (const auto& each : followed_) views.push_back(each->view());
  return views;
}

std::unordered_map<std::string_view, Discovery::Origin> Discovery::origins() const {
  std::unordered_map<std::string_view, Origin> all;
  for (const auto& each : fixed_) all.emplace(each->url, Origin{.source = "configuration"});
  for (const auto& source : followed_) {
    for (const auto& each : source->members())
      all.emplace(each->url, Origin{.source = source->name(), .held = source->guard().is_held(each->url)});
  }
  return all;
}

bool Discovery::settled() const {
  return std::ranges::all_of(followed_, [](const auto& each) { return each->settled(); });
}

}  // namespace autoglm::cluster
