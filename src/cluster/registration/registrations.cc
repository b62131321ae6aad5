#include "cluster/registration/registrations.h"

#include "cluster/registration/kept_registration.h"
#include "runtime/event_loop.h"
#include "runtime/race.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>

namespace autoglm::cluster {

struct Registrations::Prepared::Wanted {
  RegisterConfig config;
  std::shared_ptr<Kept> kept;            // goes on; null: `registrar` begins
  std::unique_ptr<Registrar> registrar;  // null: `kept` has one
};

Registrations::Prepared::Prepared() = default;
Registrations::Prepared::Prepared(Prepared&&) noexcept = default;
Registrations::Prepared& Registrations::Prepared::operator=(Prepared&&) noexcept = default;
Registrations::Prepared::~Prepared() = default;

Registrations::Registrations(Options options, observe::MetricRegistry& metrics, observe::Logger& log)
    : options_(std::move(options)), metrics_(metrics), log_(log) {}

Registrations::~Registrations() = default;

Result<Registrations::Prepared> Registrations::prepare(const std::vector<RegisterConfig>& entries) const {
  Prepared prepared;
  std::vector<std::shared_ptr<Kept>> free = kept_;
  for (const RegisterConfig& config : entries) {
    Prepared::Wanted wanted{.config = config, .kept = nullptr, .registrar = nullptr};
    const auto same = std::ranges::find_if(
        free, [&config](const auto& each) { return is_same_entry(each->config(), config); });
    if (same != free.end()) {
      wanted.kept = *same;
      free.erase(same);
    } else {
      auto registrar = options_.registrar(config);
      if (!registrar) return fail(std::move(registrar).error());
      wanted.registrar = std::move(*registrar);
    }
    prepared.wanted_.push_back(std::move(wanted));
  }
  return prepared;
}

void Registrations::adopt(Prepared prepared) {
  std::vector<std::shared_ptr<Kept>> before = std::exchange(kept_, {});
  std::vector<std::shared_ptr<Kept>> fresh;
  std::set<std::string> names;  // two entries may be of one service
  for (const Prepared::Wanted& wanted : prepared.wanted_)
    if (wanted.kept) names.insert(wanted.kept->name());
  for (Prepared::Wanted& wanted : prepared.wanted_) {
    if (wanted.kept) {
      std::erase(before, wanted.kept);
      wanted.kept->change(wanted.config);
      kept_.push_back(std::move(wanted.kept));
      continue;
    }
    std::string name = wanted.registrar->name();
    for (int number = 2; !names.insert(name).second; ++number)
      name = fmt::format("{} #{}", wanted.registrar->name(), number);
    kept_.push_back(std::make_shared<Kept>(
        Kept::Parts{.name = std::move(name), .options = options_, .metrics = metrics_, .log = log_},
        std::move(wanted.config), std::move(wanted.registrar)));
    fresh.push_back(kept_.back());
  }
  for (auto& each : before) {
    if (!running_ || each->has_left()) continue;
    each->ask_to_leave();
    leaving_.push_back(std::move(each));
  }
  // A task runs at once: those who leave are known by then.
  for (auto& each : fresh)
    if (running_ && !left_) begin(std::move(each));
}

/// Those who leave may have the same id in the same registry, so they go first.
void Registrations::begin(std::shared_ptr<Kept> kept) {
  scope_.spawn([](Registrations& all, std::shared_ptr<Kept> one) -> Task<void> {
    const Deadline patience = Deadline::after(kFarewell);
    while (all.waits(*one, !patience.passed())) {
      co_await sleep_for(std::chrono::milliseconds(10));
      all.forget_those_who_left();
    }
    co_await one->run();
  }(*this, std::move(kept)));
}

bool Registrations::waits(const Kept& fresh, bool for_all) const {
  return std::ranges::any_of(leaving_, [&](const auto& each) {
    if (each->has_left()) return false;
    // A removal that is under way would take what the new one writes. One that fails may go on failing.
    if (may_share_id(each->config(), fresh.config())) return !each->fails_to_leave();
    return for_all;
  });
}

void Registrations::forget_those_who_left() {
  for (const auto& gone : leaving_) {
    for (const auto& each : kept_) {
      // It may have taken with it what another one wrote meanwhile.
      if (gone->has_left() && may_share_id(gone->config(), each->config())) each->look_again();
      if (each->is_registered() && shares_id(gone->config(), each->config())) gone->give_up();
    }
  }
  std::erase_if(leaving_, [](const auto& each) { return each->has_left(); });
}

Task<void> Registrations::run() {
  struct Stop {
    Registrations& all;
    ~Stop() {
      all.running_ = false;
      all.scope_.cancel();
    }
  };
  const Stop on_exit{*this};
  running_ = true;
  for (const auto& each : kept_) begin(each);
  while (true) {
    co_await sleep_for(std::chrono::seconds(1));
    forget_those_who_left();
  }
}

Task<void> Registrations::leave() {
  left_ = true;
  if (!running_) co_return;
  std::vector<std::shared_ptr<Kept>> all = kept_;
  all.insert(all.end(), leaving_.begin(), leaving_.end());
  for (const auto& each : all) each->ask_to_leave();
  const Deadline patience = Deadline::after(kFarewell);
  for (const auto& each : all)
    static_cast<void>(co_await with_deadline(patience, each->gone(), "leaving a registry"));
}

std::vector<Registrations::View> Registrations::views() const {
  std::vector<View> all;
  for (const auto& each : kept_) all.push_back(each->view());
  return all;
}

}  // namespace autoglm::cluster
