#include "app/live_tls.h"

#include <ctime>
#include <set>
#include <utility>

namespace autoglm::app {

namespace {

std::vector<config::FileStamp> stamps_of(const ListenerTlsConfig& config) {
  std::vector<config::FileStamp> stamps;
  for (const std::string& file : config.files()) stamps.push_back(config::stamp_of(file));
  return stamps;
}

/// Stamps first: a write during the reading then shows as a change.
Result<LiveTls::Prepared> make(const ListenerTlsConfig& config, const LiveTls::Listener& listener) {
  LiveTls::Prepared prepared{.config = config, .stamps = stamps_of(config)};
  TlsServerContext::Options options = config.options();
  options.protocols = listener.protocols;
  auto context = TlsServerContext::create(options);
  if (!context) return fail(std::move(context).error());
  prepared.context = std::move(*context);
  return prepared;
}

}  // namespace

Result<std::unique_ptr<LiveTls>> LiveTls::create(Listener listener, const ListenerTlsConfig& config,
                                                 observe::MetricRegistry& metrics, observe::Logger& log,
                                                 Install install) {
  std::unique_ptr<LiveTls> live(new LiveTls(std::move(listener), metrics, log, std::move(install)));
  auto prepared = make(config, live->listener_);
  if (!prepared) {
    Error error = std::move(prepared).error();
    error.message = "server TLS: " + error.param + " " + error.message;
    return fail(std::move(error));
  }
  live->use(std::move(*prepared));
  return live;
}

Result<LiveTls::Prepared> LiveTls::prepare(const ListenerTlsConfig& config) {
  auto prepared = make(config, listener_);
  if (!prepared) {
    count("failed");
    log_.error(
        "the certificates were not taken; the old ones stay",
        {{"listener", listener_.name}, {"key", prepared.error().param}, {"error", prepared.error().message}});
  }
  return prepared;
}

void LiveTls::adopt(Prepared prepared) {
  use(std::move(prepared));
  count("ok");
  install_(current_);
}

void LiveTls::refresh() {
  std::vector<config::FileStamp> now = stamps_of(config_);
  if (now == stamps_) return;
  stamps_ = std::move(now);
  if (auto prepared = prepare(config_)) adopt(std::move(*prepared));
}

void LiveTls::count(const char* outcome) {
  metrics_
      .counter("autoglm_tls_reloads_total", "How often certificates were read again.", {{"outcome", outcome}})
      .add();
}

void LiveTls::use(Prepared prepared) {
  config_ = std::move(prepared.config);
  stamps_ = std::move(prepared.stamps);
  current_ = std::move(prepared.context);
  gauges_.clear();
  const auto now = static_cast<std::int64_t>(std::time(nullptr));
  std::set<std::string> names;
  for (const TlsServerContext::Certificate& each : current_->certificates()) {
    // Of two certificates for one name (with different kinds of keys, say) the second is named by its file.
    std::string name = each.name.empty() || names.contains(each.name) ? each.file : each.name;
    names.insert(name);
    gauges_.push_back(metrics_.callback(
        observe::MetricRegistry::Kind::kGauge, "autoglm_tls_certificate_not_after_seconds",
        "When a certificate in use expires, in unix seconds.", {{"listener", listener_.name}, {"name", name}},
        [at = static_cast<double>(each.not_after)] { return at; }));
    log_.info("certificate in use", {{"listener", listener_.name},
                                     {"name", name},
                                     {"file", each.file},
                                     {"serial", each.serial},
                                     {"not_after", each.not_after}});
    if (each.not_after < now || each.not_before > now) {
      log_.warning(each.not_after < now ? "a certificate has expired: clients will refuse it"
                                        : "a certificate is not valid yet: clients will refuse it",
                   {{"listener", listener_.name},
                    {"file", each.file},
                    {"not_before", each.not_before},
                    {"not_after", each.not_after}});
    }
  }
}

}  // namespace autoglm::app
