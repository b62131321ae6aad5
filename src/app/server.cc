#include "app/server.h"

#include "app/builtins.h"
#include "app/cpu_budget.h"
#include "app/live_tls.h"
#include "app/model_set.h"
#include "app/process_metrics.h"
#include "gateway/front/http/front.h"
#include "http/server.h"
#include "runtime/os_signals.h"
#include "runtime/worker_pool.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <utility>

namespace autoglm::app {

/// In the order of construction; torn down backwards, each behind those that use it.
struct Server::State {
  State(LiveConfig loaded, ListenAddress for_clients, ListenAddress for_operators)
      : live(std::move(loaded)), address(std::move(for_clients)), admin_address(std::move(for_operators)) {}

  LiveConfig live;
  AppConfig config;  ///< what it began with: of what only a restart changes
  ListenAddress address;
  ListenAddress admin_address;
  std::string trace_id;  ///< of the log's lines that belong to no request
  std::unique_ptr<observe::Logger> log;
  observe::MetricRegistry metrics;
  std::vector<std::shared_ptr<void>> process_metrics;
  EventLoop control;  ///< of the main thread: signals and the admin address
  std::unique_ptr<WorkerPool> workers;
  std::unique_ptr<BlockingPool> pool;
  std::unique_ptr<ModelSet> models;
  std::unique_ptr<gateway::Pipeline> pipeline;
  gateway::Readiness readiness;
  std::unique_ptr<gateway::HttpFront> front;
  std::unique_ptr<gateway::HttpFront> admin_front;
  std::unique_ptr<LiveTls> tls;  ///< null: plain HTTP
  std::unique_ptr<LiveTls> admin_tls;
  std::vector<std::unique_ptr<http::Server>> servers;  ///< one a worker, each made and destroyed on its loop
  std::unique_ptr<http::Server> admin;
  std::optional<Scope> tasks;  ///< of the control loop
  bool draining = false;
  int exit_code = 0;

  Result<void> make_tls();
  void refresh_tls();
  void make_models(const CpuBudget& budget);
  Result<std::vector<std::string>> reload();
  Result<std::vector<std::string>> read_and_apply();
  Task<void> watch_files();
  void listen();
  void announce() const;
  Task<void> announce_ready();
  void on_signal(int number);
  Task<void> drain();
  std::size_t busy();
  void tear_down();
};

namespace {

std::string shown(HostPort address, bool tls) {
  if (address.host == "0.0.0.0" || address.host.empty()) address.host = "127.0.0.1";
  return (tls ? "https://" : "http://") + address.to_string();
}

}  // namespace

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::create(LiveConfig live) {
  AppConfig config = live.current();
  const bool engines =
      std::ranges::any_of(config.models, [](const auto& model) { return model.engine.has_value(); });
  const CpuBudget budget = CpuBudget::of(usable_cpus(), config.server.workers, engines);
  // Both ports before anything costs time.
  auto address = ListenAddress::take(config.server.listen, budget.loops);
  if (!address) return fail(address.error());
  auto admin_address = ListenAddress::take(config.server.admin_listen, 1);
  if (!admin_address) return fail(admin_address.error());

  auto state = std::make_unique<State>(std::move(live), std::move(*address), std::move(*admin_address));
  state->config = std::move(config);
  observe::Logger::Options log_options = state->config.telemetry.log.options();
  Random random = Random::from_entropy();
  state->trace_id = observe::TraceContext::begin(random).trace_id_hex();
  log_options.process_trace_id = state->trace_id;
  auto log = observe::Logger::create(log_options);
  if (!log) return fail(log.error());
  state->log = std::move(*log);
  state->process_metrics = process_metrics(state->metrics, *state->log);
  if (auto made = state->make_tls(); !made) return fail(made.error());
  state->make_models(budget);
  auto applied = state->models->apply(state->config.models, state->config.server.request_timeout);
  if (!applied) {
    state->tear_down();
    return fail(applied.error());
  }
  state->listen();
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

Result<void> Server::State::make_tls() {
  std::vector<std::string> protocols = {"http/1.1"};
  if (config.server.http2) protocols.insert(protocols.begin(), "h2");
  if (const auto& wanted = config.server.tls) {
    auto made =
        LiveTls::create({"api", protocols}, *wanted, metrics, *log, [this](const LiveTls::Context& context) {
          workers->on_each([&](EventLoop& loop) { servers[loop.index()]->use_tls(context); });
        });
    if (!made) return fail(made.error());
    tls = std::move(*made);
  }
  if (const auto& wanted = config.server.admin_tls) {
    auto made = LiveTls::create({"admin", protocols}, *wanted, metrics, *log,
                                [this](const LiveTls::Context& context) { admin->use_tls(context); });
    if (!made) return fail(made.error());
    admin_tls = std::move(*made);
  }
  return {};
}

void Server::State::refresh_tls() {
  for (LiveTls* each : {tls.get(), admin_tls.get()})
    if (each != nullptr) each->refresh();
}

void Server::State::make_models(const CpuBudget& budget) {
  workers = std::make_unique<WorkerPool>(budget.loops);
  servers.resize(workers->size());
  workers->start();
  pool = std::make_unique<BlockingPool>(2, 1024);
  models = std::make_unique<ModelSet>(ModelSet::Dependencies{.workers = *workers,
                                                             .control = control,
                                                             .pool = *pool,
                                                             .metrics = metrics,
                                                             .log = *log,
                                                             .compute_threads = budget.compute,
                                                             .log_config = config.telemetry.log,
                                                             .trace_id = trace_id,
                                                             .sources = live.sources()});
  pipeline = std::make_unique<gateway::Pipeline>(models->directory());
  front = std::make_unique<gateway::HttpFront>(
      public_routes(*pipeline, readiness, metrics, config.telemetry.metrics), readiness, metrics, *log);
  admin_front = std::make_unique<gateway::HttpFront>(
      admin_routes(
          *models, [this] { return reload(); }, readiness, metrics, config.telemetry.metrics),
      readiness, metrics, *log);
}

/// All or nothing: what is wrong leaves the old configuration as it is. Returns what needs a restart.
Result<std::vector<std::string>> Server::State::reload() {
  auto changed = read_and_apply();
  metrics
      .counter("autoglm_config_reloads_total", "How often the configuration was read again.",
               {{"outcome", changed ? "ok" : "refused"}})
      .add();
  if (!changed) {
    log->error("the configuration was refused; the old one stays", {{"error", changed.error().message}});
    refresh_tls();  // which says what it is about, if it is about them
    return changed;
  }
  log->info("configuration reloaded", {{"models", models->directory().now()->entries().size()},
                                       {"restart_needed_for", fmt::format("{}", fmt::join(*changed, ", "))}});
  return changed;
}

Result<std::vector<std::string>> Server::State::read_and_apply() {
  auto fresh = live.read();
  if (!fresh) return fail(fresh.error());
  std::vector<std::pair<LiveTls*, LiveTls::Prepared>> certificates;
  for (const auto& [listener, wanted] :
       {std::pair(tls.get(), &fresh->server.tls), std::pair(admin_tls.get(), &fresh->server.admin_tls)}) {
    if (listener == nullptr || !*wanted) continue;  // on or off takes a restart
    auto prepared = listener->prepare(**wanted);
    if (!prepared) return fail(prepared.error());
    certificates.emplace_back(listener, std::move(*prepared));
  }
  auto engines = models->apply(fresh->models, fresh->server.request_timeout);
  if (!engines) return engines;
  for (auto& [listener, prepared] : certificates) listener->adopt(std::move(prepared));
  std::vector<std::string> keys = keys_for_restart(config, *fresh);
  for (const std::string& name : *engines) keys.push_back("models[" + name + "].engine");
  config.server.drain_timeout = fresh->server.drain_timeout;
  live.set(std::move(*fresh));
  return keys;
}

Task<void> Server::State::watch_files() {
  while (true) {
    co_await sleep_for(std::chrono::seconds(1));
    if (live.has_file() && live.changed_on_disk()) static_cast<void>(reload());
    refresh_tls();
  }
}

void Server::State::listen() {
  const http::ServerLimits limits = limits_of(config.server, workers->size());
  workers->on_each([&](EventLoop& loop) {
    auto& server = servers[loop.index()];
    server = std::make_unique<http::Server>(address.listener(loop, loop.index()), limits, *front);
    if (tls) server->use_tls(tls->current());
    server->start();
  });
}

void Server::State::announce() const {
  fmt::print("open-autoglm {} listening on {} (admin on {})\n", version(),
             shown(address.address(), tls != nullptr), shown(admin_address.address(), admin_tls != nullptr));
  std::fflush(stdout);
}

/// Says so when the models are loaded, with something to try.
Task<void> Server::State::announce_ready() {
  using enum EndpointStatus::State;
  const auto count = [this](EndpointStatus::State state) {
    const auto snapshot = models->directory().now();
    return static_cast<std::size_t>(std::ranges::count_if(
        snapshot->entries(), [state](const auto& entry) { return entry.endpoint->status().state == state; }));
  };
  while (count(kLoading) > 0) co_await sleep_for(std::chrono::milliseconds(20));
  if (models->directory().now()->entries().empty()) {
    fmt::print("ready, without a model; name one with MODEL_NAME or --model\n");
    std::fflush(stdout);
    co_return;
  }
  std::vector<std::string_view> ready;
  const auto directory = models->directory().now();
  for (const auto& entry : directory->entries()) {
    const EndpointStatus status = entry.endpoint->status();
    if (status.state == kReady) ready.push_back(entry.name);
    if (status.state == kFailed)
      fmt::print(stderr, "open-autoglm: the model \"{}\": {}\n", entry.name, status.detail);
  }
  if (ready.empty()) {  // nothing to serve: whoever restarts us should hear of it
    exit_code = 1;
    control.stop();
    co_return;
  }
  fmt::print(
      "ready: {}. Try:\n\n"
      "  curl {}/v1/completions -H \"Content-Type: application/json\" \\\n"
      "       -d '{{\"prompt\": \"Hello, how can I help?\", \"max_tokens\": 50}}'\n\n",
      fmt::join(ready, ", "), shown(address.address(), tls != nullptr));
  std::fflush(stdout);
}

void Server::State::on_signal(int number) {
  if (number == SIGHUP) {
    if (auto reopened = log->reopen(); !reopened)
      log->warning("the log could not be reopened", {{"error", reopened.error().message}});
    if (live.has_file() && !draining) {
      live.changed_on_disk();
      static_cast<void>(reload());
    }
    return;
  }
  if (draining) {
    log->warning("second signal: ending at once", {{"signal", number}});
    control.stop();
    return;
  }
  draining = true;
  log->info("draining", {{"signal", number}, {"timeout_s", to_seconds(config.server.drain_timeout)}});
  readiness.begin_drain();
  tasks->spawn(drain());
}

std::size_t Server::State::busy() {
  std::atomic<std::size_t> count{0};
  workers->on_each([&](EventLoop& loop) { count += servers[loop.index()]->counts().busy_connections; });
  return count;
}

/// Answers what is under way, closes what is idle, and tells newcomers to go elsewhere until then.
Task<void> Server::State::drain() {
  const Deadline deadline = Deadline::after(config.server.drain_timeout);
  workers->on_each([&](EventLoop& loop) { servers[loop.index()]->drain(); });
  while (busy() > 0 && !deadline.passed()) co_await sleep_for(std::chrono::milliseconds(20));
  const std::size_t left = busy();
  if (left > 0) {
    log->warning("drain timeout: ending connections that are still busy", {{"connections", left}});
  } else {
    log->info("drained");
  }
  control.stop();
}

void Server::State::tear_down() {
  workers->on_each([&](EventLoop& loop) { servers[loop.index()].reset(); });
  models->stop();  // engines post to the loops
  workers->stop();
}

int Server::run() {
  State& state = *state_;
  std::optional<OsSignals> signals;
  state.control.post([&] {
    signals.emplace(state.control, std::initializer_list<int>{SIGTERM, SIGINT, SIGHUP},
                    [&](int number) { state.on_signal(number); });
    const ServerConfig& config = state.config.server;
    state.admin = std::make_unique<http::Server>(
        state.admin_address.listener(state.control),
        http::ServerLimits{.http2_streams = config.http2 ? config.http2_streams : 0,
                           .compress_above = config.compress_above},
        *state.admin_front);
    if (state.admin_tls) state.admin->use_tls(state.admin_tls->current());
    state.admin->start();
    state.announce();
    state.tasks.emplace();
    state.tasks->spawn(state.models->watch());
    state.tasks->spawn(state.watch_files());
    state.tasks->spawn(state.announce_ready());
  });
  state.control.run();
  state.tasks.reset();
  state.admin.reset();
  signals.reset();
  state.tear_down();
  state.log->info("stopped");
  return state.exit_code;
}

}  // namespace autoglm::app
