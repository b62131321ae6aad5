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

MonotonicTime right_now() { return std::chrono::steady_clock::now(); }

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
  leaving_ = true;
  wake_.set();
}

Task<Result<void>> Registrations::Kept::gone() { return raised(gone_); }

/// Where others reach us. Errors: why that is not known.
Task<Result<std::string>> Registrations::Kept::find_host() const {
  if (const auto given = read_own_address(config_.address)) co_return given->host;
  const HostPort& listen = parts_.options.facts.listen;
  const HostPort registry = registry_address(config_);
  std::string host = listen.host;
  if (listens_everywhere(listen)) {
    auto found = co_await parts_.options.names.run([registry, only_ipv4 = listen.host == "0.0.0.0"] {
      return local_address_towards(registry, only_ipv4);
    });
    if (!found) co_return fail(std::move(found).error());
    if (!*found) co_return fail(std::move(*found).error());
    host = std::move(**found);
  }
  if (HostPort{host, 0}.is_loopback() && !registry.is_loopback()) {
    co_return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{} is this machine's alone and the registry {} is not: set `address` to where "
                    "others reach this server",
                    host, registry.host));
  }
  co_return host;
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
    auto found =
        co_await with_deadline(Deadline::after(kCallPatience), find_host(), "looking for our address");
    if (!found) co_return failed(found.error());
    host_ = std::move(*found);
  }
  Registration self = describe_self(config_, parts_.options.facts, host_, models);
  if (told_ && told_->id != self.id) co_await take_back();  // it was made of another address
  auto lasts = co_await with_deadline(Deadline::after(kCallPatience), registrar_->keep(self), "registering");
  if (!lasts) {
    if (!told_) told_ = std::move(self);  // it may have been written all the same
    co_return failed(lasts.error());
  }
  succeeded(std::move(self), *lasts, asked);
}

void Registrations::Kept::succeeded(Registration self, Duration lasts, MonotonicTime asked) {
  if (!registered_ || !trouble_.empty() || told_ != self)
    parts_.log.info("registered", {{"registry", parts_.name},
                                   {"service", self.service},
                                   {"id", self.id},
                                   {"address", HostPort{self.host, self.port}.to_string()},
                                   {"models", self.metadata["models"]}});
  told_ = std::move(self);
  trouble_.clear();
  delay_.reset();
  next_ = asked + lasts / 3;
  lasts_until_ = asked + lasts;
  registered_ = true;
}

void Registrations::Kept::failed(const Error& error) {
  failures_.add();
  const bool taken = error.reason == kIdTaken;
  // A registry that is away may still believe us; one that knows another server does not.
  if (taken || right_now() >= lasts_until_) registered_ = false;
  std::string message = error.log_message();
  // Once for each kind of trouble, not with every attempt.
  if (message != trouble_)
    parts_.log.warning(
        taken ? "not registered: another server has the id" : "the registry cannot be told of us",
        {{"registry", parts_.name}, {"error", message}});
  trouble_ = std::move(message);
  next_ = right_now() + delay_.next(random_);
}

Task<void> Registrations::Kept::take_back() {
  if (!told_) co_return;
  const bool was = registered_;
  const auto removed = co_await with_deadline(Deadline::after(kCallPatience), registrar_->remove(*told_),
                                              "leaving the registry");
  registered_ = false;
  if (!removed) {
    failures_.add();
    parts_.log.warning("the registry could not be told that we leave: it finds out by itself",
                       {{"registry", parts_.name}, {"error", removed.error().log_message()}});
  } else if (was) {
    parts_.log.info("no longer registered", {{"registry", parts_.name}, {"id", told_->id}});
  }
  told_.reset();
}

/// Once at how the models are, and what follows from it.
Task<void> Registrations::Kept::look() {
  const auto models = models_to_tell(parts_.options.served(), config_.models, told_.has_value());
  if (!models) {
    co_await take_back();
    next_ = {};
  } else if (is_due(*models)) {
    co_await tell(*models);
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
                                   [this] { return registered_ ? 1.0 : 0.0; });
  while (!leaving_) {
    wake_.clear();
    try {
      co_await look();
    } catch (const std::exception& exception) {  // memory may be back
      failed(Error{.message = exception.what()});
    }
    if (leaving_) break;
    static_cast<void>(
        co_await with_deadline(Deadline::after(pause()), raised(wake_), "a change of the entry"));
  }
  co_await take_back();
  gauge_.reset();
  gone_.set();
}

Registrations::View Registrations::Kept::view() const {
  View view{.registry = parts_.name,
            .service = config_.service,
            .id = config_.id,
            .registered = registered_,
            .trouble = trouble_};
  if (!told_) return view;
  view.id = told_->id;
  view.address = HostPort{told_->host, told_->port}.to_string();
  if (const auto models = told_->metadata.find("models"); models != told_->metadata.end())
    view.models = models->second;
  return view;
}

}  // namespace autoglm::cluster
