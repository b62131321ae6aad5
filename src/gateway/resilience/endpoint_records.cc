#include "gateway/resilience/endpoint_records.h"

#include "base/assert.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::array kOutcomeNames = {"ok", "failed", "timeout", "refused", "abandoned"};
static_assert(kOutcomeNames.size() == kOutcomes);

}  // namespace

EndpointRecords::EndpointRecords(observe::MetricRegistry& registry, std::string model)
    : model_(std::move(model)) {
  add_metrics(registry);
}

EndpointRecords::Counts EndpointRecords::counts_of(const EndpointRecord& record) {
  Counts counts{record.ejections.value()};
  for (std::size_t i = 0; i < kOutcomes; ++i) counts[1 + i] = record.attempts[i].value();
  return counts;
}

/// The name for people: without the query, which may hold a key, and as short as it can be among the others.
std::string EndpointRecords::name_for(const http::Url& api) const {
  std::string name = api.authority();
  if (names_.contains(name)) name += api.path();
  if (!names_.contains(name)) return name;
  std::size_t number = 2;
  while (names_.contains(fmt::format("{}#{}", name, number))) ++number;
  return fmt::format("{}#{}", name, number);
}

std::shared_ptr<EndpointRecord> EndpointRecords::of(const http::Url& api, const BreakerConfig& breaker) {
  const std::lock_guard lock(mutex_);
  std::string address = address_of(api);
  if (const auto found = known_.find(address); found != known_.end()) return found->second.record;
  ++last_id_.value;
  auto record = std::make_shared<EndpointRecord>(last_id_, name_for(api), breaker);
  names_.insert(record->state.name);
  const auto added = known_.try_emplace(std::move(address), Known{.record = record}).first;
  Known& known = added->second;
  known.address = added->first;
  known.position = idle_.insert(idle_.begin(), &known);  // was no member yet: the first to be forgotten
  return record;
}

bool EndpointRecords::joins(const std::string& address) {
  const std::lock_guard lock(mutex_);
  Known& known = known_.at(address);
  if (known.lists++ > 0) return false;
  idle_.erase(known.position);
  if (known.named) --named_idle_;
  name_one(known);
  return known.left.has_value();
}

void EndpointRecords::leaves(const std::string& address, MonotonicTime now) {
  const std::lock_guard lock(mutex_);
  Known& known = known_.at(address);
  AUTOGLM_ASSERT(known.lists > 0, "a list names it");
  if (--known.lists > 0) return;
  known.left = now;
  known.position = idle_.insert(idle_.end(), &known);
  if (known.named) ++named_idle_;
}

void EndpointRecords::sweep(MonotonicTime now) {
  const std::lock_guard lock(mutex_);
  std::size_t excess = idle_.size() - std::min(idle_.size(), kKept);
  for (auto each = idle_.begin(); each != idle_.end();) {
    Known& known = **each++;
    const bool is_kept = known.left && now - *known.left < keep_for_;
    if (is_kept && excess == 0) break;  // those behind it left later
    if (excess > 0) --excess;
    if (known.record.use_count() == 1) forget(known);
  }
  const std::size_t members = known_.size() - idle_.size();
  if (named_ < kNamed && members > named_ - named_idle_) name_others();
}

void EndpointRecords::forget(Known& known) {
  if (known.named) {
    --named_;
    --named_idle_;
  } else {
    give_to_others(known);
  }
  idle_.erase(known.position);
  names_.erase(known.record->state.name);
  known_.erase(known_.find(std::string(known.address)));
}

/// What it has counted without series of its own, or what these have shown before they ended. A series that
/// begins anew begins at zero, and "other" never falls.
void EndpointRecords::give_to_others(Known& known) {
  const Counts counts = counts_of(*known.record);
  if (!known.named)
    for (std::size_t i = 0; i < counts.size(); ++i) others_[i] += counts[i] - known.given[i];
  known.given = counts;
}

void EndpointRecords::set_named(Known& known, bool named) {
  give_to_others(known);
  known.named = named;
  named ? ++named_ : --named_;
}

/// A member has series before an endpoint that left.
void EndpointRecords::name_one(Known& known) {
  if (known.named) return;
  if (named_ >= kNamed && named_idle_ > 0) {
    const auto first = std::ranges::find_if(idle_, [](const Known* each) { return each->named; });
    set_named(**first, false);
    --named_idle_;
  }
  if (named_ < kNamed) {
    set_named(known, true);
  } else {
    has_others_ = true;
  }
}

/// Series have become free.
void EndpointRecords::name_others() {
  std::vector<Known*> members;
  for (auto& [address, known] : known_)
    if (known.lists > 0 && !known.named) members.push_back(&known);
  std::ranges::sort(members, {}, [](const Known* each) { return each->record->id.value; });
  members.resize(std::min(members.size(), kNamed - named_));
  for (Known* each : members) set_named(*each, true);
}

void EndpointRecords::each_count(std::size_t which,
                                 FunctionRef<void(const std::string&, double)> emit) const {
  const std::lock_guard lock(mutex_);
  std::uint64_t others = others_[which];
  for (const auto& [address, known] : known_) {
    const std::uint64_t count = counts_of(*known.record)[which] - known.given[which];
    if (known.named) {
      emit(known.record->state.name, static_cast<double>(count));
    } else {
      others += count;
    }
  }
  if (has_others_) emit("other", static_cast<double>(others));
}

/// Those that left, too, while requests use them.
void EndpointRecords::each_member(FunctionRef<void(const std::string&, const EndpointRecord&)> emit) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [address, known] : known_)
    if (known.named && (known.lists > 0 || known.record.use_count() > 1))
      emit(known.record->state.name, *known.record);
}

void EndpointRecords::add_metrics(observe::MetricRegistry& registry) {
  using Emit = observe::MetricRegistry::Emit;
  const auto counter = [&](const char* name, const char* help, std::function<void(const Emit&)> read) {
    metrics_.push_back(
        registry.collection(observe::MetricRegistry::Kind::kCounter, name, help, std::move(read)));
  };
  counter("autoglm_endpoint_ejections_total",
          "How often an endpoint was left out because requests to it failed.", [this](const Emit& emit) {
            each_count(0, [&](const std::string& name, double count) {
              emit({{"model", model_}, {"endpoint", name}}, count);
            });
          });
  counter("autoglm_endpoint_attempts_total", "Requests to an endpoint, by how they ended.",
          [this](const Emit& emit) {
            for (std::size_t i = 0; i < kOutcomes; ++i)
              each_count(1 + i, [&](const std::string& name, double count) {
                emit({{"model", model_}, {"endpoint", name}, {"outcome", kOutcomeNames[i]}}, count);
              });
          });
  const auto gauge = [&](const char* name, const char* help, double (*read)(const EndpointRecord&)) {
    metrics_.push_back(registry.collection(
        observe::MetricRegistry::Kind::kGauge, name, help, [this, read](const Emit& emit) {
          each_member([&](const std::string& name, const EndpointRecord& record) {
            emit({{"model", model_}, {"endpoint", name}}, read(record));
          });
        }));
  };
  gauge("autoglm_endpoint_in_flight", "Requests that an endpoint works on.",
        [](const EndpointRecord& of) -> double { return of.state.in_flight.load(); });
  gauge("autoglm_endpoint_healthy", "1: the last checks succeeded.",
        [](const EndpointRecord& of) { return of.state.health.well() ? 1.0 : 0.0; });
  gauge("autoglm_endpoint_ejected", "1: left out for a while, because requests to it failed.",
        [](const EndpointRecord& of) {
          return of.state.health.ejected(std::chrono::steady_clock::now()) ? 1.0 : 0.0;
        });
  gauge("autoglm_breaker_state", "0: closed, 1: open, 2: half open.",
        [](const EndpointRecord& of) { return static_cast<double>(of.breaker.state()); });
}

}  // namespace autoglm::gateway
