#include "gateway/admission/groups/bulkhead_set.h"

#include "gateway/admission/groups/bulkhead.h"
#include "gateway/admission/groups/gradient_limit.h"
#include "runtime/loop_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <optional>
#include <set>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::array kWaitSeconds = {0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0};
constexpr const char* kTooNear = "deadline_too_near";

}  // namespace

struct BulkheadSet::Member {
  Member(const BulkheadKind& kind, const BulkheadConfig& config, observe::MetricRegistry& metrics,
         const Clock* given)
      : clock(given == nullptr ? loop_clock : *given),
        bulkhead(kind, begun(config), clock),
        reasons{kind.full, kind.timeout, kTooNear},
        wait(metrics.histogram(
            fmt::format("autoglm_{}_wait_seconds", kind.noun),
            fmt::format("How long admitted requests of a {} waited for their place.", kind.noun),
            kWaitSeconds, {{kind.noun, config.name}})) {
    for (std::size_t i = 0; i < reasons.size(); ++i) {
      refused[i] = &metrics.counter(fmt::format("autoglm_{}_refused_total", kind.noun),
                                    fmt::format("Requests that got no place in their {}, by why.", kind.noun),
                                    {{kind.noun, config.name}, {"reason", reasons[i]}});
    }
    const auto gauge = [&](const char* what, const char* help, std::function<double()> read) {
      gauges.push_back(metrics.callback(
          observe::MetricRegistry::Kind::kGauge, fmt::format("autoglm_{}_{}", kind.noun, what),
          fmt::format(fmt::runtime(help), kind.noun), {{kind.noun, config.name}}, std::move(read)));
    };
    gauge("running", "Requests that hold a place of their {}.",
          [this] { return static_cast<double>(bulkhead.running()); });
    gauge("waiting", "Requests that wait for a place of their {}.",
          [this] { return static_cast<double>(bulkhead.waiting()); });
    gauge("concurrency_limit", "Requests of a {} that may run at a time; 0: no limit.",
          [this] { return static_cast<double>(bulkhead.limit()); });
    adapt(config);
  }

  static GradientLimit::Bounds bounds_of(const BulkheadConfig& config) {
    return config.concurrent == 0 ? GradientLimit::Bounds()
                                  : GradientLimit::Bounds{.most = config.concurrent};
  }
  static BulkheadConfig begun(BulkheadConfig config) {
    if (config.adaptive) config.concurrent = GradientLimit(bounds_of(config)).limit();
    return config;
  }

  void change(BulkheadConfig config) {
    adapt(config);
    if (config.adaptive) config.concurrent = static_cast<std::uint32_t>(bulkhead.limit());
    bulkhead.change(config);
    if (!config.adaptive) return;
    const std::lock_guard lock(gradient_mutex);
    bulkhead.resize(gradient->limit());
  }
  void learn(const GradientLimit::Sample& sample) {
    const std::lock_guard lock(gradient_mutex);
    if (!gradient) return;
    const std::uint32_t before = gradient->limit();
    gradient->observe(sample, clock.now());
    if (gradient->limit() != before) bulkhead.resize(gradient->limit());
  }
  void count(std::string_view reason) const {
    for (std::size_t i = 0; i < reasons.size(); ++i)
      if (reason == reasons[i]) refused[i]->add();
  }

  LoopClock loop_clock;
  const Clock& clock;
  Bulkhead bulkhead;
  std::array<const char*, 3> reasons;
  bool configured = true;  // under the set's lock
  observe::Histogram& wait;
  std::array<observe::Counter*, 3> refused{};
  std::atomic<bool> adapts{false};  // whether there is a gradient
  std::mutex gradient_mutex;        // taken before the bulkhead's
  std::optional<GradientLimit> gradient;
  std::vector<std::shared_ptr<void>> gauges;  // they read the bulkhead: dropped first

 private:
  void adapt(const BulkheadConfig& config) {
    const std::lock_guard lock(gradient_mutex);
    adapts.store(config.adaptive, std::memory_order_relaxed);
    if (!config.adaptive) {
      gradient.reset();
    } else if (!gradient) {
      gradient.emplace(bounds_of(config));
    } else {
      gradient->change(bounds_of(config));
    }
  }
};

/// A call's place. It also tells an adaptive limit how long the first token took; a call that ends without
/// one, that it took longer than this.
class BulkheadSet::Held final : public Permit {
 public:
  Held(std::shared_ptr<Member> member, Bulkhead::Place place, std::uint64_t prompt)
      : member_(std::move(member)),
        place_(std::move(place)),
        began_(member_->clock.now()),
        prompt_(prompt),
        running_(place_->running()) {}
  ~Held() override {
    if (!answered_) learn(false);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  /// How long another model takes says nothing of this one.
  void served_by(std::string_view /*model*/) override { prompt_ = 0; }
  void first_token() override {
    answered_ = true;
    learn(true);
  }
  void closed() override { place_.reset(); }

 private:
  void learn(bool answered) {
    if (prompt_ == 0) return;
    member_->learn({.took = member_->clock.now() - began_,
                    .prompt_tokens = prompt_,
                    .in_flight = static_cast<std::uint32_t>(running_),
                    .answered = answered});
  }

  std::shared_ptr<Member> member_;
  std::optional<Bulkhead::Place> place_;  // nothing: given back
  MonotonicTime began_;
  std::uint64_t prompt_;  // 0: nothing is learnt from it
  std::size_t running_;
  bool answered_ = false;
};

BulkheadSet::~BulkheadSet() = default;

Task<Result<std::unique_ptr<Permit>>> BulkheadSet::enter(std::string_view name, std::string_view tenant,
                                                         const AdmissionFacts& facts) {
  std::shared_ptr<Member> member = find(name);
  if (!member) co_return std::unique_ptr<Permit>();
  const std::uint64_t cost = facts.request == nullptr ? 1 : facts.tokens.total();
  auto place = co_await member->bulkhead.enter(std::string(tenant), facts.context.priority, cost,
                                               facts.context.deadline);
  if (!place) {
    member->count(place.error().reason);
    co_return fail(std::move(place).error());
  }
  member->wait.observe(to_seconds(place->waited()));
  const bool teaches = member->adapts.load(std::memory_order_relaxed) && facts.request != nullptr &&
                       facts.request->wire.stream;
  co_return std::make_unique<Held>(std::move(member), std::move(*place),
                                   teaches ? std::max<std::uint64_t>(facts.tokens.prompt, 1) : 0);
}

void BulkheadSet::apply(const std::vector<BulkheadConfig>& configs) {
  const std::lock_guard lock(mutex_);
  std::set<std::string_view> names;
  for (const BulkheadConfig& config : configs) {
    names.insert(config.name);
    std::shared_ptr<Member>& member = members_[config.name];
    if (!member) {
      member = std::make_shared<Member>(kind_, config, metrics_, clock_);
    } else {
      member->change(config);
      member->configured = true;
    }
  }
  for (const auto& [name, member] : members_) {
    if (names.contains(name)) continue;
    member->configured = false;
    member->bulkhead.lift();
  }
  std::erase_if(members_, [](const auto& each) {
    return !each.second->configured && each.second->bulkhead.running() == 0;
  });
}

std::shared_ptr<BulkheadSet::Member> BulkheadSet::find(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = members_.find(name);
  return found != members_.end() && found->second->configured ? found->second : nullptr;
}

}  // namespace autoglm::gateway
