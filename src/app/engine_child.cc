#include "app/engine_child.h"

#include "app/builtins.h"
#include "app/model_loader.h"
#include "engine/engine.h"
#include "gateway/endpoint/process/engine_child_config.h"
#include "gateway/endpoint/process/report_changes.h"
#include "gateway/front/http/front.h"
#include "http/server.h"
#include "runtime/blocking_pool.h"
#include "runtime/child_process.h"
#include "runtime/event_loop.h"
#include "runtime/handover.h"
#include "runtime/scope.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>

namespace autoglm::app {

namespace {

constexpr int kUsage = 2;
constexpr int kCouldNotLoad = 3;

/// The parent checks what clients send, and knows how long they may take.
http::ServerLimits limits_of_parent() {
  constexpr Duration kLong = std::chrono::hours(24);
  http::ServerLimits limits;
  limits.head.bytes = 1024 * 1024;  // groups' shares stand there
  limits.body_bytes = std::numeric_limits<std::int32_t>::max();
  limits.connections = std::numeric_limits<std::int32_t>::max();
  limits.header_time = limits.body_time = limits.idle_time = limits.write_stall = kLong;
  return limits;
}

gateway::CallTimeouts no_timeouts() {
  return {.request = Duration::max(), .first_token = Duration::max(), .idle = Duration::max()};
}

/// In the order of construction; torn down in reverse, each member after those that use it.
class EngineChild {
 public:
  EngineChild(gateway::EngineChildConfig config, std::unique_ptr<observe::Logger> log)
      : config_(std::move(config)), log_(std::move(log)) {}

  int run();

 private:
  void open();
  Task<void> report(HandoverListener& parent);

  gateway::EngineChildConfig config_;
  std::unique_ptr<observe::Logger> log_;
  observe::MetricRegistry metrics_;
  std::shared_ptr<LiveGroupShares> shares_ = std::make_shared<LiveGroupShares>();
  EventLoop loop_;
  std::shared_ptr<engine::Engine> engine_;
  std::optional<BlockingPool> pool_;
  std::optional<gateway::LiveDirectory> models_;
  std::optional<gateway::Pipeline> pipeline_;
  gateway::Readiness readiness_;
  std::optional<gateway::HttpFront> front_;
  std::optional<http::Server> server_;
  std::optional<Scope> tasks_;
  int exit_code_ = 0;
};

/// On the loop.
void EngineChild::open() {
  pool_.emplace(2, 1024);
  engine_ = std::make_shared<engine::Engine>(
      config_.name, config_.engine,
      engine::Engine::Dependencies{
          .pool = *pool_,
          .metrics = metrics_,
          .log = *log_,
          .load = model_loader(config_.engine, config_.compute_threads,
                               {.cache = config_.cache, .environment = process_environment()}, *log_),
          .samplers = sampler_factory(),
          .shares = shares_});
  models_.emplace(1,
                  std::make_shared<const gateway::ModelDirectory>(
                      std::vector<gateway::ModelDirectory::Entry>{{config_.name, engine_, no_timeouts()}}));
  pipeline_.emplace(*models_);
  // Its requests are in the parent's access log.
  front_.emplace(public_routes(*pipeline_, readiness_, metrics_, Shown(),
                               std::make_shared<http::BodyMemory>(ServerConfig().answer_memory), *pool_),
                 readiness_, metrics_, *log_, observe::LogLevel::kDebug);
  front_->serve_server(*shares_);
  auto listener = std::make_unique<HandoverListener>(loop_, ChildProcess::kHandover, [this] {
    // Nothing is lost, and a loading model may take long to notice that it is not wanted any more.
    if (engine_->status().state == EndpointStatus::State::kLoading) ::_exit(0);
    loop_.stop();
  });
  HandoverListener& parent = *listener;
  server_.emplace(std::move(listener), limits_of_parent(), *front_);
  server_->start();
  tasks_.emplace();
  tasks_->spawn(report(parent));
}

/// Reports changes to the parent; ends the process when the model cannot be loaded.
Task<void> EngineChild::report(HandoverListener& parent) {
  co_await gateway::report_changes(*engine_, parent);
  exit_code_ = kCouldNotLoad;
  loop_.stop();
}

int EngineChild::run() {
  loop_.post([this] { open(); });
  loop_.run();
  tasks_.reset();
  server_.reset();
  pool_.reset();  // its jobs use the engine
  models_.reset();
  engine_.reset();
  return exit_code_;
}

void become_a_child() {
  die_with_parent();
  go_first_when_memory_ends();
  // The parent is told to end, drains, and then ends this process; a signal to the whole group is meant for
  // the parent.
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) std::signal(number, SIG_IGN);
  // ggml would start a debugger on this process before it aborts.
  ::setenv("GGML_NO_BACKTRACE", "1", 0);
}

}  // namespace

int run_engine_child() {
  struct stat handover{};
  if (::fstat(ChildProcess::kHandover, &handover) != 0 || !S_ISSOCK(handover.st_mode)) {
    fmt::print(stderr, "open-autoglm: {} is what `serve` starts for an engine with `isolation: process`\n",
               gateway::kEngineCommand);
    return kUsage;
  }
  become_a_child();
  auto config = gateway::read_engine_child_config(std::string(std::istreambuf_iterator<char>(std::cin), {}));
  if (!config) {
    fmt::print(stderr, "open-autoglm: {}\n", config.error().message);
    return kUsage;
  }
  observe::Logger::Options options = config->log.options();
  options.process_trace_id = config->trace_id;
  auto log = observe::Logger::create(options);
  if (!log) {
    fmt::print(stderr, "open-autoglm: {}\n", log.error().message);
    return 1;
  }
  return EngineChild(std::move(*config), std::move(*log)).run();
}

}  // namespace autoglm::app
