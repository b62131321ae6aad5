#include "cluster/discovery/discovery.h"

#include "base/utf8.h"
#include "cluster/discovery/instance_shape.h"
#include "runtime/deadline.h"
#include "runtime/event_loop.h"
#include "runtime/race.h"
#include "runtime/scope.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <map>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr Duration kAfterRefusal = std::chrono::seconds(1);    // a certificate may be being replaced
constexpr Duration kAfterException = std::chrono::seconds(1);  // memory may be back

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
  Followed(Discovery& discovery, Source source, std::string name, observe::MetricRegistry& metrics)
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

  /// Follows the registry; also when one of its answers took more memory than there is.
  Task<void> run() {
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

  void push(std::vector<Instance> instances) override {
    if (!answered_ || !trouble_.empty())
      log("the registry answers", observe::LogLevel::kInfo, {"instances", instances.size()});
    answered_ = true;
    trouble_.clear();
    up_ = 1;
    listed_ = instances.size();
    std::string why;
    auto specs = shaped(instances, why);
    if (!why.empty() && why != told_why_)
      log("an instance of the registry is left out", observe::LogLevel::kWarning, {"why", why});
    told_why_ = std::move(why);
    const std::size_t held_before = guard_.held();
    const bool changed = guard_.offer(specs, now());
    if (known_.size() > guard_.members().size()) forget_others();
    if (guard_.held() > held_before)
      log("the registry no longer lists many servers: they are held", observe::LogLevel::kWarning,
          {"held", guard_.held()});
    // A hold that begins has an end, for which somebody must wake up.
    note(changed || guard_.held() != held_before);
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

  /// Whether both ask the same, whoever counts there and with whatever key.
  bool is_as(const Followed& other) const { return registry_->name() == other.registry_->name(); }
  void inherit(const Followed& before) {
    if (config_ == before.config_) {
      guard_ = before.guard_;
      known_ = before.known_;
    } else {
      // All members by the configuration of now; then those that are held leave again, by its rules.
      std::string why;
      std::vector<Instance> listed, all;
      for (const auto& [url, known] : before.known_) {
        if (!before.guard_.is_held(url)) listed.push_back(known.instance);
        all.push_back(known.instance);
      }
      guard_.offer(shaped(all, why), now());
      guard_.offer(shaped(listed, why), now());
    }
    answered_ = before.answered_;
    trouble_ = before.trouble_;
    listed_ = before.listed_;
    skipped_ = before.skipped_;
    up_ = before.up_.load();
    note(false);
  }

  const std::vector<MemberGuard::Spec>& members() const { return guard_.members(); }
  const MemberGuard& guard() const { return guard_; }
  const std::string& name() const { return name_; }
  bool answered() const { return answered_; }
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
  /// An instance, and what was made of it.
  struct Known {
    Instance instance;
    MemberGuard::Spec spec;
  };
  struct Address {
    std::string_view host;
    std::uint16_t port;

    bool operator==(const Address&) const = default;
  };
  struct AddressHash {
    std::size_t operator()(const Address& each) const {
      return std::hash<std::string_view>()(each.host) * 31 + each.port;
    }
  };

  /// The endpoints that count among `instances`.
  std::vector<MemberGuard::Spec> shaped(const std::vector<Instance>& instances, std::string& why) {
    std::unordered_map<Address, const Known*, AddressHash> before;
    before.reserve(known_.size());
    for (const auto& [url, known] : known_)
      before.emplace(Address{known.instance.host, known.instance.port}, &known);
    std::vector<MemberGuard::Spec> specs;
    std::vector<Known> fresh;
    for (const Instance& each : instances) {
      if (!counts(each, config_)) continue;
      // Most are as they were, and so is what was made of them.
      if (const auto same = before.find({each.host, each.port});
          same != before.end() && same->second->instance == each) {
        specs.push_back(same->second->spec);
        continue;
      }
      auto spec = endpoint_of(each, config_, why);
      if (!spec) continue;
      specs.push_back(std::make_shared<const EndpointSpec>(std::move(*spec)));
      fresh.push_back({.instance = each, .spec = specs.back()});
    }
    for (Known& each : fresh) {
      const std::string& url = each.spec->url;
      known_.insert_or_assign(url, std::move(each));
    }
    skipped_ = instances.size() - specs.size();
    return specs;
  }
  /// Of those that are no members any more.
  void forget_others() {
    std::unordered_set<std::string_view> urls;
    for (const auto& each : guard_.members()) urls.insert(each->url);
    std::erase_if(known_, [&urls](const auto& each) { return !urls.contains(each.first); });
  }
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
  const std::string name_;
  MemberGuard guard_;
  std::unordered_map<std::string, Known> known_;  // of the members, by URL
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
  std::map<std::string, int> names;  // two may ask one registry and let others count
  for (Source& each : sources) {
    std::string name = each.registry->name();
    if (const int number = ++names[name]; number > 1) name += fmt::format(" #{}", number);
    followed_.push_back(std::make_unique<Followed>(*this, std::move(each), std::move(name), metrics));
  }
  last_ = membership();
}

Discovery::~Discovery() = default;

Task<void> Discovery::run() {
  Scope registries;
  for (const auto& each : followed_) registries.spawn(each->run());
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
    if (!told_answers_ && has_answers()) {
      told_answers_ = true;
      options_.answered();
    }
    if (!dirty_.is_set()) continue;
    dirty_.clear();
    const bool handed_over = hand_over();
    co_await sleep_for(handed_over ? kBetweenChanges : kAfterRefusal);
    if (!handed_over) dirty_.set();
  }
}

/// False: the sink refuses the change.
bool Discovery::hand_over() {
  Membership next = membership();
  const auto same = [](const auto& a, const auto& b) { return a == b || *a == *b; };
  if (std::ranges::equal(next.endpoints, last_.endpoints, same)) return true;
  if (auto applied = sink_.apply(next); !applied) {
    log_.error("the servers that registries name cannot be used",
               {{"model", options_.model}, {"error", applied.error().log_message()}});
    return false;
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
  return true;
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

bool Discovery::has_answers() const {
  return std::ranges::all_of(followed_, [](const auto& each) { return each->answered(); });
}

bool Discovery::settled() const {
  return std::ranges::all_of(followed_, [](const auto& each) { return each->settled(); });
}

}  // namespace autoglm::cluster
