#include "path_gateway.h"

#include "gateway/front/http/generation_routes.h"
#include "gateway/front/http/health_routes.h"

#include "engine/backends/llama/token_sampler.h"
#include "gateway_weather.h"
#include "runtime/socket.h"

#include <utility>

namespace autoglm::simulation {

Gateway::Gateway(gateway::PoolConfig pool_config, Duration request_timeout, const std::string& log_file,
                 std::uint16_t port)
    : log(observe::Logger::create({.file = log_file, .queue_lines = 1U << 20U}).value()),
      models(1),
      request_timeout_(request_timeout) {
  auto address = ListenAddress::take({"10.0.0.1", port}, 1).value();
  clients.reserve(loop);
  clients.share(answers, nullptr);
  const gateway::Balance balance = pool_config.balance;
  auto factory =
      std::make_unique<gateway::HttpEndpointFactory>(gateway::endpoint_settings(pool_config), clients);
  pool = gateway::ModelPool::create("m", std::move(pool_config),
                                    {.factory = std::move(factory),
                                     .answer_memory = answers.get(),
                                     .metrics = metrics,
                                     .log = *log,
                                     .balancer = gateway::factory_of(balance),
                                     .records = records,
                                     .loops = 1,
                                     .request_timeout = request_timeout,
                                     .find_model = [](const std::string&) { return nullptr; }})
             .value();
  pool->take_effect();
  publish();
  auto routes = gateway::generation_routes(
      pipeline, {.ignored_fields = metrics.counter("autoglm_ignored_fields_total", ""),
                 .answer_memory = answers,
                 .pool = &preparation});
  for (auto& route : gateway::health_routes(models, readiness)) routes.push_back(std::move(route));
  for (auto& route : gateway::metrics_routes(metrics, models)) routes.push_back(std::move(route));
  front = std::make_unique<gateway::HttpFront>(std::move(routes), readiness, metrics, *log);
  loop.post([this, listen = std::make_shared<ListenAddress>(std::move(address))] {
    clients.attach(loop, std::make_unique<http::Client>(names, nullptr));
    server = std::make_unique<http::Server>(
        listen->listener(loop), http::ServerLimits{.body_memory = bodies, .answer_memory = answers}, *front);
    server->start();
    watching.emplace();
    watching->spawn(pool->watch());
    watching->spawn(sweep());
  });
}

void Gateway::publish() {
  std::vector<gateway::ModelDirectory::Entry> entries;
  entries.push_back(
      {"m", pool, {.request = request_timeout_, .first_token = Duration::max(), .idle = Duration::max()}});
  if (own) {
    entries.push_back(
        {"e", own, {.request = request_timeout_, .first_token = request_timeout_, .idle = request_timeout_}});
  }
  models.set(std::make_shared<const gateway::ModelDirectory>(std::move(entries)));
  models.refresh(0);
}

void Gateway::add_engine(Machine& machine, History& history) {
  auto steps = std::make_unique<TimedStepper>(machine);
  stepper = steps.get();
  auto format = std::make_shared<TimedChatFormat>(machine, history);
  chat = format.get();
  engine::Backend backend = engine::make_fake_backend(TimedStepper::options());
  backend.chat = std::move(format);
  backend.stepper = std::move(steps);
  own = std::make_shared<engine::Engine>(
      "e", engine::EngineConfig{.max_sequences = 8, .max_waiting = 16, .saved_memory = 16 << 10},
      engine::Engine::Dependencies{.pool = preparation,
                                   .metrics = metrics,
                                   .log = *log,
                                   .load = engine::loader_of(std::move(backend)),
                                   .samplers = engine::make_token_sampler});
  publish();
}

void Gateway::retire_engine() {
  stepper = nullptr;
  chat = nullptr;
  auto retired = std::exchange(own, nullptr);
  publish();
  if (retired) watching->spawn(bury(std::move(retired)));
}

void Gateway::change_members(const gateway::PoolConfig& config, Random* random) {
  std::vector<cluster::EndpointSpec> members;
  for (const cluster::EndpointSpec& each : config.endpoints)
    if (random == nullptr || random->below(4) != 0) members.push_back(each);
  loop.post([this, members = std::move(members)] { pool->apply(cluster::membership_of(members)).value(); });
}

/// Every 200 ms, as `serve` does.
Task<void> Gateway::sweep() {
  while (true) {
    co_await sleep_for(std::chrono::milliseconds(200));
    pool->sweep();
    records.keep_for(std::chrono::hours(24 * 365));  // the history compares all counts with what servers saw
    records.sweep(std::chrono::steady_clock::now());
  }
}

Task<void> Gateway::bury(std::shared_ptr<engine::Engine> retired) {
  while (retired.use_count() > 1) co_await sleep_for(std::chrono::milliseconds(20));
}

Gateway::~Gateway() {
  loop.post([this] {
    server.reset();
    watching.reset();
    own.reset();
    publish();
    clients.detach(loop);
    loop.stop();
  });
  loop.run();
}

}  // namespace autoglm::simulation
