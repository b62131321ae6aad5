#include "cluster/discovery/discovery.h"

#include "cluster/discovery/followed.h"
#include "cluster/registries/work_pace.h"
#include "runtime/deadline.h"
#include "runtime/event_loop.h"
#include "runtime/race.h"
#include "runtime/scope.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr Duration kAfterRefusal = std::chrono::seconds(1);  // a certificate may be being replaced
constexpr Duration kLongestRest = std::chrono::milliseconds(400);
constexpr Duration kBetweenLines = std::chrono::seconds(1);  // of the log, about changes

MonotonicTime now() { return std::chrono::steady_clock::now(); }

std::vector<MemberGuard::Spec> shared(std::vector<EndpointSpec> specs) {
  std::vector<MemberGuard::Spec> all;
  all.reserve(specs.size());
  for (EndpointSpec& each : specs) all.push_back(std::make_shared<const EndpointSpec>(std::move(each)));
  return all;
}

}  // namespace

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

/// When there is something to do without a change of a registry.
Deadline Discovery::due() const {
  MonotonicTime at = MonotonicTime::max();
  for (const auto& each : followed_)
    if (const auto release = each->release_at()) at = std::min(at, *release);
  if (untold_.changes > 0) at = std::min(at, told_ + kBetweenLines);
  return at == MonotonicTime::max() ? Deadline::never() : Deadline(std::max(at, now()));
}

Task<void> Discovery::hand_over_changes() {
  while (true) {
    static_cast<void>(co_await with_deadline(due(), raised(dirty_), "a change of the servers"));
    const WorkPace pace;
    for (const auto& each : followed_) {
      each->digest();
      each->release();
    }
    if (!told_answers_ && has_answers()) {
      told_answers_ = true;
      options_.answered();
    }
    tell();
    if (!dirty_.is_set()) continue;
    dirty_.clear();
    const bool handed_over = hand_over();
    co_await sleep_for(handed_over ? std::max(kBetweenChanges, pace.rest(kLongestRest)) : kAfterRefusal);
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
  for (const auto& each : next.endpoints) untold_.came += before.erase(each->url) == 0 ? 1 : 0;
  untold_.left += before.size();
  ++untold_.changes;
  changes_.add();
  last_ = std::move(next);
  tell();
  options_.changed();
  return true;
}

/// A line about all changes since the last one, once a second at most.
void Discovery::tell() {
  if (untold_.changes == 0 || now() < told_ + kBetweenLines) return;
  log_.info("servers have changed", {{"model", options_.model},
                                     {"servers", last_.endpoints.size()},
                                     {"came", untold_.came},
                                     {"left", untold_.left},
                                     {"changes", untold_.changes}});
  untold_ = {};
  told_ = now();
}

Membership Discovery::merged(const std::vector<MemberGuard::Spec>& fixed) const {
  Membership all{.endpoints = fixed};
  std::vector<std::string> written;  // as URLs of instances are
  for (const auto& each : fixed)
    if (const auto url = api_url(*each)) written.push_back(url->origin() + url->target);
  // A guard names each URL once.
  if (written.empty() && followed_.size() == 1) {
    const auto& members = followed_.front()->members();
    all.endpoints.insert(all.endpoints.end(), members.begin(), members.end());
    return all;
  }
  std::unordered_set<std::string_view> urls(written.begin(), written.end());
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
