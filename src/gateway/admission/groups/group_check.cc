#include "gateway/admission/groups/group_check.h"

#include "gateway/admission/groups/bulkhead.h"
#include "runtime/loop_time.h"

#include <array>
#include <atomic>
#include <functional>
#include <set>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::array kWaitSeconds = {0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0};
constexpr std::array kReasons = {"group_full", "group_timeout", "deadline_too_near"};

}  // namespace

struct GroupCheck::Group {
  Group(const GroupConfig& config, observe::MetricRegistry& metrics)
      : bulkhead(config, clock),
        wait(metrics.histogram("autoglm_group_wait_seconds",
                               "How long admitted requests of a group waited for their place.", kWaitSeconds,
                               {{"group", config.name}})) {
    for (std::size_t i = 0; i < kReasons.size(); ++i) {
      refused[i] = &metrics.counter("autoglm_group_refused_total",
                                    "Requests that got no place in their group, by why.",
                                    {{"group", config.name}, {"reason", kReasons[i]}});
    }
    const auto gauge = [&](const char* name, const char* help, std::function<double()> read) {
      gauges.push_back(metrics.callback(observe::MetricRegistry::Kind::kGauge, name, help,
                                        {{"group", config.name}}, std::move(read)));
    };
    gauge("autoglm_group_running", "Requests that hold a place of their group.",
          [this] { return static_cast<double>(bulkhead.running()); });
    gauge("autoglm_group_waiting", "Requests that wait for a place of their group.",
          [this] { return static_cast<double>(bulkhead.waiting()); });
  }

  void count(std::string_view reason) const {
    for (std::size_t i = 0; i < kReasons.size(); ++i)
      if (reason == kReasons[i]) refused[i]->add();
  }

  LoopClock clock;
  Bulkhead bulkhead;
  bool configured = true;  // under the check's lock
  observe::Histogram& wait;
  std::array<observe::Counter*, kReasons.size()> refused{};
  std::vector<std::shared_ptr<void>> gauges;  // they read the bulkhead: dropped first
};

/// A call's place.
class GroupCheck::Held final : public Permit {
 public:
  Held(std::shared_ptr<Group> group, Bulkhead::Place place)
      : group_(std::move(group)), place_(std::move(place)) {}

 private:
  std::shared_ptr<Group> group_;
  Bulkhead::Place place_;
};

GroupCheck::GroupCheck(const std::vector<GroupConfig>& groups, observe::MetricRegistry& metrics)
    : metrics_(metrics) {
  apply(groups);
}

GroupCheck::~GroupCheck() = default;

Task<Result<std::unique_ptr<Permit>>> GroupCheck::admit(const AdmissionFacts& facts) {
  const CallContext& context = facts.context;
  std::shared_ptr<Group> group;
  if (context.caller && !context.caller->group.empty()) group = find(context.caller->group);
  if (!group) co_return std::unique_ptr<Permit>();
  const std::uint64_t cost = facts.request == nullptr ? 1 : facts.tokens.total();
  auto place =
      co_await group->bulkhead.enter(context.caller->tenant, context.priority, cost, context.deadline);
  if (!place) {
    group->count(place.error().reason);
    co_return fail(std::move(place).error());
  }
  group->wait.observe(to_seconds(place->waited()));
  co_return std::make_unique<Held>(std::move(group), std::move(*place));
}

void GroupCheck::apply(const std::vector<GroupConfig>& groups) {
  const std::lock_guard lock(mutex_);
  std::set<std::string_view> names;
  for (const GroupConfig& config : groups) {
    names.insert(config.name);
    std::shared_ptr<Group>& group = groups_[config.name];
    if (!group) {
      group = std::make_shared<Group>(config, metrics_);
    } else {
      group->bulkhead.change(config);
      group->configured = true;
    }
  }
  for (const auto& [name, group] : groups_) {
    if (names.contains(name)) continue;
    group->configured = false;
    group->bulkhead.lift();
  }
  std::erase_if(groups_, [](const auto& each) {
    return !each.second->configured && each.second->bulkhead.running() == 0;
  });
}

std::shared_ptr<GroupCheck::Group> GroupCheck::find(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = groups_.find(name);
  return found != groups_.end() && found->second->configured ? found->second : nullptr;
}

}  // namespace autoglm::gateway
