#include "cluster/registration/kept_registration.h"

#include "runtime/event_loop.h"
#include "runtime/local_address.h"
#include "runtime/race.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr Duration kModelsInterval = std::chrono::milliseconds(100);  // at the models
// Of one call of a registrar, which may ask several times and bounds each of them itself.
constexpr Duration kCallPatience = std::chrono::seconds(10);
constexpr Duration kLastWords = Registrations::kFarewell / 4;
constexpr Duration kReturn = std::chrono::seconds(1);  // at the earliest, after models that were not ready

MonotonicTime right_now() { return std::chrono::steady_clock::now(); }

/// Whether both are one entry, whatever stands in it.
bool same_place(const Registration& a, const Registration& b) {
  return a.id == b.id && a.host == b.host && a.port == b.port;
}

}  // namespace

Registrations::Kept::Kept(Parts parts, RegisterConfig config, std::unique_ptr<Registrar> registrar)
    : parts_(std::move(parts)),
      config_(std::move(config)),
      registrar_(std::move(registrar)),
      failures_(parts_.metrics.counter("autoglm_registration_failures_total",
                                       "Times that a registry did not take our registration.",
                                       {{"registry", parts_.name}})) {}

void Registrations::Kept::change(RegisterConfig config) {
  if (config == config_) return;
  config_ = std::move(config);
  changed_ = true;
  wake_.set();
}

void Registrations::Kept::ask_to_leave() {
  if (!leave_.is_set()) trouble_.clear();  // it was of another kind
  leave_.set();
  delay_.reset();
  wake_.set();
}

void Registrations::Kept::give_up() {
  given_up_ = true;
  wake_.set();
}

void Registrations::Kept::look_again() {
  changed_ = true;  // also for what it is asking by now
  next_ = {};
  wake_.set();
}

Task<Result<void>> Registrations::Kept::gone() { return raised(gone_); }

/// Where others reach us. Errors: why that is not known, of the first address of the registry.
Task<Result<std::string>> Registrations::Kept::find_host() const {
  if (const auto given = read_own_address(config_.address)) co_return given->host;
  const HostPort& listen = parts_.options.facts.listen;
  const std::vector<HostPort> addresses = registry_addresses(config_);
  const Duration patience = kCallPatience / static_cast<int>(addresses.size());
  std::optional<Error> why;
  for (const HostPort& registry : addresses) {
    std::string host = listen.host;
    if (listens_everywhere(listen)) {
      auto found =
          co_await with_deadline(Deadline::after(patience),
                                 parts_.options.names.run([registry, only_ipv4 = listen.host == "0.0.0.0"] {
                                   return local_address_towards(registry, only_ipv4);
                                 }),
                                 "looking for our address");
      if (!found || !*found) {
        if (!why) why = found ? std::move(*found).error() : std::move(found).error();
        continue;
      }
      host = std::move(**found);
    }
    if (!HostPort{host, 0}.is_loopback() || registry.is_loopback()) co_return host;
    if (!why)
      why = Error{.code = ErrorCode::kInvalidArgument,
                  .message = fmt::format("{} is this machine's alone and the registry {} is not: set "
                                         "`address` to where others reach this server",
                                         host, registry.host)};
  }
  co_return std::unexpected(std::move(*why));
}

bool Registrations::Kept::is_due(const std::vector<std::string>& models) const {
  if (right_now() >= next_) return true;
  // Behind a failure it waits, whatever is new.
  if (!told_ || !trouble_.empty()) return false;
  return changed_ || *told_ != describe_self(config_, parts_.options.facts, host_, models);
}

Task<void> Registrations::Kept::tell(const std::vector<std::string>& models) {
  const MonotonicTime asked = right_now();
  changed_ = false;
  // A machine may get another address while it is not registered.
  if (!told_ || !trouble_.empty() || host_.empty()) {
    auto found = co_await find_host();
    if (found) {
      host_ = std::move(*found);
    } else if (host_.empty()) {
      co_return failed(found.error(), "the registry cannot be told of us");
    }
  }
  if (leave_.is_set()) co_return;
  Registration self = describe_self(config_, parts_.options.facts, host_, models);
  // What stands at another address would be a rival of ours.
  if (told_ && !same_place(*told_, self) && !co_await take_back()) co_return;
  // It may be written even if we never hear of that.
  if (!told_) told_ = self;
  auto lasts = co_await with_deadline(Deadline::after(kCallPatience), registrar_->keep(self), "registering");
  if (!lasts)
    co_return failed(lasts.error(), lasts.error().reason == kIdTaken
                                        ? "not registered: another server has the id"
                                        : "the registry cannot be told of us");
  succeeded(std::move(self), *lasts, asked);
}

void Registrations::Kept::succeeded(Registration self, Duration lasts, MonotonicTime asked) {
  if (!is_registered() || !trouble_.empty() || told_ != self)
    parts_.log.info("registered", {{"registry", parts_.name},
                                   {"service", self.service},
                                   {"id", self.id},
                                   {"address", HostPort{self.host, self.port}.to_string()},
                                   {"models", self.metadata["models"]}});
  told_ = std::move(self);
  trouble_.clear();
  complaints_.end();
  delay_.reset();
  next_ = asked + lasts / 3;
  lasts_until_ = asked + lasts;
  registered_ = true;
}

/// A registry that is away may still believe us; one that knows another server does not.
void Registrations::Kept::failed(const Error& error, std::string_view what) {
  failures_.add();
  if (error.reason == kIdTaken) registered_ = false;
  trouble_ = error.log_message();
  if (complaints_.is_news(error, right_now()))
    parts_.log.warning(what, {{"registry", parts_.name}, {"error", trouble_}});
  next_ = right_now() + delay_.next(random_);
}

/// Whether nothing of ours stands there any more; if not, it is to be tried again at `next_`.
Task<bool> Registrations::Kept::take_back() {
  const auto removed = co_await with_deadline(Deadline::after(kCallPatience), registrar_->remove(*told_),
                                              "leaving the registry");
  if (!removed) {
    failed(removed.error(), "the registry could not be told that we leave");
    co_return false;
  }
  if (registered_) parts_.log.info("no longer registered", {{"registry", parts_.name}, {"id", told_->id}});
  registered_ = false;
  told_.reset();
  // Models that come and go make it neither hurry nor forget that the registry was in trouble.
  next_ = std::max(trouble_.empty() ? MonotonicTime() : next_, right_now() + kReturn);
  trouble_.clear();
  co_return true;
}

/// Once at how the models are, and what follows from it.
Task<void> Registrations::Kept::look() {
  const auto models = models_to_tell(parts_.options.served(), config_.models, told_.has_value());
  unready_ = !models;
  if (models) {
    if (is_due(*models)) co_await tell(*models);
  } else if (told_ && (trouble_.empty() || right_now() >= next_)) {
    co_await take_back();
  }
}

/// Until something may be due.
Duration Registrations::Kept::pause() const {
  const Duration until_next = next_ - right_now();
  return until_next > Duration::zero() ? std::min(until_next, kModelsInterval) : kModelsInterval;
}

Task<void> Registrations::Kept::run() {
  gauge_ = parts_.metrics.callback(observe::MetricRegistry::Kind::kGauge, "autoglm_registered",
                                   "Whether the registry has our registration.", {{"registry", parts_.name}},
                                   [this] { return is_registered() ? 1.0 : 0.0; });
  while (!leave_.is_set()) {
    wake_.clear();
    try {
      static_cast<void>(co_await first_of(look(), leave_in_a_hurry()));
    } catch (const std::exception& exception) {  // memory may be back
      failed(Error{.message = exception.what()}, "the registry cannot be told of us");
    }
    if (leave_.is_set()) break;
    static_cast<void>(
        co_await with_deadline(Deadline::after(pause()), raised(wake_), "a change of the entry"));
  }
  gauge_.reset();  // the entry that comes in its place may have its name
  co_await depart();
  gone_.set();
}

/// What is asked when we are to leave may end in order, or it arrives behind the removal. One that takes
/// longer is dropped: the removal needs the time.
Task<void> Registrations::Kept::leave_in_a_hurry() {
  co_await leave_.wait();
  co_await sleep_for(kLastWords);
}

/// Until nothing stands in the registry, or it is not ours to remove.
Task<void> Registrations::Kept::depart() {
  trouble_.clear();
  while (told_ && !given_up_) {
    wake_.clear();
    if (co_await take_back() || given_up_) break;
    static_cast<void>(co_await with_deadline(Deadline(next_), raised(wake_), "another try to leave"));
  }
}

Registrations::View Registrations::Kept::view() const {
  View view{.registry = parts_.name,
            .service = config_.service,
            .id = config_.id,
            .registered = is_registered(),
            .trouble = trouble_.empty() && unready_ ? "its models are not ready" : trouble_};
  if (!told_) return view;
  view.id = told_->id;
  view.address = HostPort{told_->host, told_->port}.to_string();
  if (const auto models = told_->metadata.find("models"); models != told_->metadata.end())
    view.models = models->second;
  return view;
}

}  // namespace autoglm::cluster
