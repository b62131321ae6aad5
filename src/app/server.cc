#include "app/server.h"

#include "app/announcement.h"
#include "app/builtins.h"
#include "app/cpu_budget.h"
#include "app/departure.h"
#include "app/descriptors.h"
#include "app/live_tls.h"
#include "app/model_set.h"
#include "app/process_metrics.h"
#include "app/reloads.h"
#include "app/self_registration.h"
#include "config/change.h"
#include "gateway/front/http/front.h"
#include "http/server.h"
#include "runtime/os_signals.h"
#include "runtime/worker_pool.h"

#include <fmt/format.h>

#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <utility>

namespace autoglm::app {

namespace {

constexpr std::size_t kAdminReserve = 8;  // connections for the operator, when clients get none

}  // namespace

/// In the order of construction; torn down in reverse, each member after those that use it.
struct Server::State {
  State(LiveConfig loaded, ListenAddress for_clients, ListenAddress for_operators)
      : live(std::move(loaded)), address(std::move(for_clients)), admin_address(std::move(for_operators)) {}

  LiveConfig live;
  AppConfig config;  ///< the configuration in use: the current one, but for keys that need a restart
  ListenAddress address;
  ListenAddress admin_address;
  std::string trace_id;  ///< of the log's lines that belong to no request
  std::unique_ptr<observe::Logger> log;
  observe::MetricRegistry metrics;
  std::vector<std::shared_ptr<void>> process_metrics;
  EventLoop control;  ///< of the main thread: signals and the admin address
  std::unique_ptr<WorkerPool> workers;
  std::unique_ptr<BlockingPool> pool;   ///< prepares requests
  std::unique_ptr<BlockingPool> names;  ///< looks up names of servers, apart from long texts
  std::shared_ptr<http::BodyMemory> answer_memory;
  std::unique_ptr<ModelSet> models;
  std::unique_ptr<SelfRegistration> registration;
  std::unique_ptr<Admission> admission;
  std::unique_ptr<gateway::Pipeline> pipeline;
  std::unique_ptr<Reloads> reloads;
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
  Result<Reloads::Outcome> apply(LoadedConfig& fresh);
  Task<void> watch_certificates();
  void listen();
  void log_warnings(const config::Diagnostics& warnings) const;
  void announce() const;
  Task<void> announce_ready();
  void on_signal(int number);
  Task<void> leave(int number);
  std::size_t busy();
  void tear_down();
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::create(LiveConfig live) {
  AppConfig config = live.current();
  const bool engines =
      std::ranges::any_of(config.models, [](const auto& model) { return model.engine.has_value(); });
  const CpuBudget budget = CpuBudget::of(UsableCpus::read(), config.server.workers, engines);
  // Opens both ports before slow work.
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
  state->log_warnings(state->live.warnings());
  if (auto made = state->make_tls(); !made) return fail(made.error());
  auto admission = Admission::create(state->config.admission, bulkheads_of(state->config.models),
                                     state->metrics, *state->log);
  if (!admission) return fail(std::move(admission).error());
  state->admission = std::move(*admission);
  state->make_models(budget);
  auto applied = state->models->apply(state->config.models, state->config.server.request_timeout);
  if (!applied) {
    state->tear_down();
    return fail(applied.error());
  }
  auto registered = state->registration->registrations().prepare(state->config.registers);
  if (!registered) {
    state->tear_down();
    return fail(std::move(registered).error());
  }
  state->registration->registrations().adopt(std::move(*registered));
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

/// As `validate` prints them.
void Server::State::log_warnings(const config::Diagnostics& warnings) const {
  for (const config::Diagnostic& warning : warnings) {
    log->warning(
        "the configuration may surprise",
        {{"where", warning.location.to_string()}, {"key", warning.path}, {"warning", warning.message}});
  }
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
  names = std::make_unique<BlockingPool>(2, 1024);
  answer_memory = std::make_shared<http::BodyMemory>(config.server.answer_memory);
  models = std::make_unique<ModelSet>(ModelSet::Dependencies{.workers = *workers,
                                                             .control = control,
                                                             .pool = *pool,
                                                             .names = *names,
                                                             .metrics = metrics,
                                                             .log = *log,
                                                             .compute_threads = budget.compute,
                                                             .log_config = config.telemetry.log,
                                                             .trace_id = trace_id,
                                                             .sources = live.sources(),
                                                             .prefix_key = prefix_key(config.server),
                                                             .answer_memory = answer_memory,
                                                             .shares = admission->shares()});
  admission->share_limits({.workers = *workers, .names = *names, .metrics = metrics, .log = *log},
                          config.admission);
  registration =
      std::make_unique<SelfRegistration>(SelfRegistration::Dependencies{.models = models->directory(),
                                                                        .listen = address.address(),
                                                                        .tls = config.server.tls.has_value(),
                                                                        .names = *names,
                                                                        .metrics = metrics,
                                                                        .log = *log});
  pipeline = std::make_unique<gateway::Pipeline>(models->directory(), admission->take_checks());
  pipeline->use_checks(admission->is_asked());
  // A refusal may be about certificates, which are then looked at by themselves: that logs the error.
  reloads =
      std::make_unique<Reloads>(Reloads::Parts{.live = live,
                                               .apply = [this](LoadedConfig& fresh) { return apply(fresh); },
                                               .refused = [this] { refresh_tls(); },
                                               .files = *pool,
                                               .names = *names,
                                               .metrics = metrics,
                                               .log = *log});
  const Shown shown{.metrics = config.telemetry.metrics,
                    .tls = config.server.tls.has_value(),
                    .prefix_key = prefix_key(config.server),
                    .responses = response_store(config.responses)};
  front = std::make_unique<gateway::HttpFront>(
      public_routes(*pipeline, readiness, metrics, shown, answer_memory, *pool), readiness, metrics, *log);
  admin_front = std::make_unique<gateway::HttpFront>(
      admin_routes(*pipeline, *models, *admission, registration->registrations(), *reloads, readiness,
                   metrics, shown, admin_access(config.server)),
      readiness, metrics, *log);
}

/// All or nothing.
Result<Reloads::Outcome> Server::State::apply(LoadedConfig& fresh) {
  const auto descriptor = describe_app();
  Reloads::Outcome outcome;
  for (config::Difference& each : config::differences(descriptor, live.current(), fresh.config))
    outcome.keys.push_back(std::move(each.path));
  for (config::Difference& each : config::differences(descriptor, config, fresh.config))
    if (!each.live) outcome.need_restart.push_back(std::move(each.path));
  AppConfig next = fresh.config;
  config::keep_until_restart(descriptor, config, next);
  auto admitted = admission->prepare(fresh.config.admission, next.admission);
  if (!admitted) return fail(admitted.error());
  auto registered = registration->registrations().prepare(next.registers);
  if (!registered) return fail(registered.error());
  std::vector<std::pair<LiveTls*, LiveTls::Prepared>> certificates;
  for (const auto& [listener, wanted] :
       {std::pair(tls.get(), &next.server.tls), std::pair(admin_tls.get(), &next.server.admin_tls)}) {
    if (listener == nullptr) continue;
    auto prepared = listener->prepare(**wanted);
    if (!prepared) return fail(prepared.error());
    certificates.emplace_back(listener, std::move(*prepared));
  }
  if (auto applied = models->apply(next.models, next.server.request_timeout); !applied)
    return fail(applied.error());
  for (auto& [listener, prepared] : certificates) listener->adopt(std::move(prepared));
  config = std::move(next);
  admission->apply(config.admission, bulkheads_of(config.models), std::move(*admitted));
  pipeline->use_checks(admission->is_asked());
  registration->registrations().adopt(std::move(*registered));
  log_warnings(fresh.warnings);
  return outcome;
}

Task<void> Server::State::watch_certificates() {
  while (true) {
    co_await sleep_for(std::chrono::seconds(1));
    refresh_tls();
  }
}

void Server::State::listen() {
  const bool has_pools =
      std::ranges::any_of(config.models, [](const auto& model) { return model.is_pool(); });
  ServerConfig within = config.server;
  within.max_connections = connections_that_fit(within.max_connections, has_pools, *log);
  const http::ServerLimits limits = limits_of(within, workers->size(), answer_memory);
  front->bound_unpacked(limits.body_bytes, limits.body_memory);
  front->allow_pages(config.server.cors);
  front->ask_for_keys(admission->keys().live(), &admission->keys().tokens());
  workers->on_each([&](EventLoop& loop) {
    auto& server = servers[loop.index()];
    server = std::make_unique<http::Server>(address.listener(loop, loop.index()), limits, *front);
    if (tls) server->use_tls(tls->current());
    server->start();
  });
}

void Server::State::announce() const {
  const auto& tls_config = config.server.tls;
  if (!admission->keys().asks() && (!tls_config || tls_config->client_ca.empty()))
    log->warning("the server is open: no keys are configured, and every client may use it",
                 {{"address", address.address().to_string()}});
  print_now(listening_text(
      {.api = address.address(), .admin = admin_address.address(), .asks_for_keys = admission->keys().asks()},
      config.server, Paint(shows_colours(STDOUT_FILENO))));
}

/// Announces that the models are loaded, with a call to try.
Task<void> Server::State::announce_ready() {
  co_await loaded(*models);
  co_await first_checks(*models);
  const std::vector<AnnouncedModel> announced = announced_models(*models);
  const auto has_failed = [](const auto& each) {
    return each.status.state == EndpointStatus::State::kFailed;
  };
  if (!announced.empty() && std::ranges::all_of(announced, has_failed)) {
    for (const AnnouncedModel& model : announced)
      fmt::print(stderr, "open-autoglm: the model \"{}\": {}\n", model.card.name, model.status.detail);
    exit_code = 1;  // nothing to serve: the supervisor should know
    control.stop();
    co_return;
  }
  print_now(ready_text(shown_url(address.address(), tls != nullptr), announced,
                       Paint(shows_colours(STDOUT_FILENO))));
}

void Server::State::on_signal(int number) {
  if (number == SIGHUP) {
    if (auto reopened = log->reopen(); !reopened)
      log->warning("the log could not be reopened", {{"error", reopened.error().message}});
    if ((live.has_file() || live.center()) && !draining)
      tasks->spawn([](State& state) -> Task<void> { co_await state.reloads->read_when_whole(); }(*this));
    return;
  }
  if (draining) {
    log->warning("second signal: ending at once", {{"signal", number}});
    control.stop();
    return;
  }
  draining = true;
  tasks->spawn(leave(number));
}

std::size_t Server::State::busy() {
  std::atomic<std::size_t> count{0};
  workers->on_each([&](EventLoop& loop) { count += servers[loop.index()]->counts().busy_connections; });
  return count;
}

Task<void> Server::State::leave(int number) {
  co_await depart(
      {.registrations = registration->registrations(),
       .readiness = readiness,
       .drain = [this] { workers->on_each([&](EventLoop& loop) { servers[loop.index()]->drain(); }); },
       .busy = [this] { return busy(); },
       .log = *log},
      number, {.delay = config.server.drain_delay, .timeout = config.server.drain_timeout});
  control.stop();
}

void Server::State::tear_down() {
  workers->on_each([&](EventLoop& loop) { servers[loop.index()].reset(); });
  admission->leave_loops();
  registration.reset();
  models->stop();  // engines post to the loops
  workers->stop();
  admission->close();
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
        http::ServerLimits{.reserve = kAdminReserve,
                           .http2_streams = config.http2 ? config.http2_streams : 0,
                           .compress_above = config.compress_above},
        *state.admin_front);
    if (state.admin_tls) state.admin->use_tls(state.admin_tls->current());
    state.admin->start();
    state.announce();
    state.tasks.emplace();
    state.tasks->spawn(state.models->watch());
    state.tasks->spawn(state.reloads->watch());
    state.tasks->spawn(state.watch_certificates());
    state.tasks->spawn(state.admission->keys().watch_file());
    state.tasks->spawn(state.admission->keys().watch_store());
    state.tasks->spawn(state.admission->keys().watch_issuer());
    state.tasks->spawn(state.registration->registrations().run());
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
