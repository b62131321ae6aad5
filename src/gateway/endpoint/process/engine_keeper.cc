#include "gateway/endpoint/process/engine_keeper.h"

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <fstream>
#include <utility>

namespace autoglm::gateway {

namespace {

using State = EndpointStatus::State;

HttpEndpointOptions options_of(std::shared_ptr<HandoverDialer> dialer,
                               std::shared_ptr<const LiveGroupShares> shares) {
  return {.url = {.tls = false, .host = {"engine", 80}, .target = "/v1"},
          .connect_timeout = std::chrono::seconds(10),
          .dialer = std::move(dialer),
          .part_of_us = true,
          .shares = std::move(shares),
          .ask_tokens = false,
          .kind = std::make_shared<std::atomic<ServerKind>>(ServerKind::kOurs)};
}

double resident_bytes(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/statm", pid));
  double total = 0;
  double resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

EngineProcessView::EngineProcessView(std::shared_ptr<HandoverDialer> to, pid_t number, HttpClients& clients,
                                     std::shared_ptr<const LiveGroupShares> shares)
    : dialer(std::move(to)), pid(number), endpoint(options_of(dialer, std::move(shares)), clients) {}

/// One process, from its start to its end.
struct EngineKeeper::Life {
  MonotonicTime began = std::chrono::steady_clock::now();
  std::optional<MonotonicTime> up_since = {};
  bool could_not_load = false;
  std::string last_words =
      {};  // its last output that was no line of its log: what native code prints before it aborts
  std::string cause = {};  // why it ended, for people
  std::string label = {};  // and for metrics
  pid_t pid = 0;
};

EngineKeeper::EngineKeeper(Options options, HttpClients& clients, observe::MetricRegistry& metrics,
                           observe::Logger& log)
    : options_(std::move(options)),
      clients_(clients),
      metrics_(metrics),
      log_(log),
      now_(std::make_shared<const Now>()) {
  register_metrics(metrics);
  thread_ = std::thread([this] { run(); });
}

EngineKeeper::~EngineKeeper() {
  stop_.ring();
  thread_.join();
}

void EngineKeeper::register_metrics(observe::MetricRegistry& metrics) {
  const auto gauge = [&](const char* name, const char* help, std::function<double()> read) {
    gauges_.push_back(metrics.callback(observe::MetricRegistry::Kind::kGauge, name, help,
                                       {{"model_name", options_.model}}, std::move(read)));
  };
  gauge("autoglm_engine_process_up", "Whether the engine's process has loaded its model.",
        [this] { return now()->up ? 1.0 : 0.0; });
  gauge("autoglm_engine_process_load_seconds", "From the last start of the engine's process until it was up.",
        [this] { return load_seconds_.load(); });
  gauge("autoglm_engine_process_waiting_requests", "Requests that wait for its restart.",
        [this] { return static_cast<double>(settled_.waiting()); });
  gauge("autoglm_engine_process_resident_memory_bytes", "Resident memory of the engine's process.", [this] {
    const auto process = now()->process;
    return process ? resident_bytes(process->pid) : 0.0;
  });
}

void EngineKeeper::run() {
  pthread_setname_np(pthread_self(), "keeper");
  RestartPolicy policy(Random::from_entropy()());
  while (!stop_.rung()) {
    auto child = ChildProcess::start(options_.arguments, options_.input, "the engine of " + options_.model);
    Life life;
    if (child) {
      life = attend(**child);
      child->reset();
    } else {
      life.cause = child.error().message;
      life.label = "not_started";
    }
    if (stop_.rung()) return;
    died_at_ = std::chrono::steady_clock::now();
    const auto restart =
        policy.after({.at = died_at_, .up_since = life.up_since, .could_not_load = life.could_not_load});
    stop_.wait(died_at_ + mourn(life, restart));
  }
}

EngineKeeper::Life EngineKeeper::attend(ChildProcess& child) {
  Life life{.pid = child.pid()};
  Now begun{
      .process = std::make_shared<EngineProcessView>(child.dialer(), child.pid(), clients_, options_.shares),
      .served = now()->served,
      .report = now()->report};
  publish(std::move(begun));
  bool told = false;
  while (true) {
    if (stop_.rung() && !std::exchange(told, true)) child.dialer()->hang_up();
    const ChildProcess::News news = child.wait(told ? nullptr : &stop_, MonotonicTime::max());
    hear(news, life);
    if (!news.end) continue;
    life.cause = life.could_not_load ? "it could not load its model" : news.end->describe();
    life.label = life.could_not_load ? "load_failed" : news.end->label();
    return life;
  }
}

void EngineKeeper::hear(const ChildProcess::News& news, Life& life) {
  for (const std::string& line : news.lines) {
    if (line.empty() || log_.relay(line)) continue;
    life.last_words = line;
    log_.warning("the engine's process says", {{"model", options_.model}, {"line", line}});
  }
  for (const std::string& message : news.messages) {
    auto report = read_report(message);
    if (report) {
      take(std::move(*report), life);
    } else {
      log_.warning("an unreadable report of the engine's process",
                   {{"model", options_.model}, {"error", report.error().message}});
    }
  }
}

void EngineKeeper::take(EngineReport report, Life& life) {
  const auto before = now();
  Now after{.process = before->process, .served = before->served, .report = std::move(report)};
  EndpointStatus& status = after.report.status;
  if (status.state == State::kReady) {
    after.up = after.served = true;
    if (!life.up_since) {
      life.up_since = std::chrono::steady_clock::now();
      failed_ = false;
      load_seconds_.store(to_seconds(*life.up_since - life.began));
      log_.info("the engine's process is up", {{"model", options_.model},
                                               {"pid", life.pid},
                                               {"seconds", load_seconds_.load()},
                                               {"restarted", !last_cause_.empty()}});
    }
  } else if (status.state == State::kFailed) {
    life.could_not_load = true;
    failed_ = true;
  } else if (failed_) {
    status = before->report.status;  // another attempt, for which no request shall wait
  } else if (!last_cause_.empty()) {
    status.detail = "restarting: " + last_cause_;
  }
  publish(std::move(after));
}

/// Reports why the process ended, and returns the pause before the next start.
Duration EngineKeeper::mourn(const Life& life, const RestartPolicy::Restart& restart) {
  const auto before = now();
  last_cause_ = life.cause;
  failed_ = restart.failed;
  Now after{.served = before->served, .restart_at = died_at_ + restart.after};
  after.report.context_length = before->report.context_length;
  after.report.has_chat_template = before->report.has_chat_template;
  after.report.task = before->report.task;
  if (life.could_not_load || (failed_ && before->report.status.state == State::kFailed)) {
    after.report.status = before->report.status;
  } else if (failed_) {
    after.report.status = {
        .state = State::kFailed,
        .detail = fmt::format("its process dies before the model is loaded: {}{}", life.cause,
                              life.last_words.empty() ? "" : "; " + life.last_words)};
  } else {
    after.report.status.detail = "restarting: " + life.cause;
  }
  publish(std::move(after));
  metrics_
      .counter("autoglm_engine_process_restarts_total",
               "Ends of the engine's process, each followed by a start.",
               {{"model_name", options_.model}, {"reason", life.label}})
      .add();
  log_.error("the engine's process died",
             {{"model", options_.model},
              {"pid", life.pid},
              {"cause", life.cause},
              {"last_words", life.last_words},
              {"up_s", life.up_since ? to_seconds(died_at_ - *life.up_since) : 0.0},
              {"restart_in_s", to_seconds(restart.after)}});
  return restart.after;
}

void EngineKeeper::publish(Now now) {
  const bool settled = now.up || now.report.status.state == State::kFailed;
  if (!settled) settled_.shut();
  now_.set(std::make_shared<const Now>(std::move(now)));
  if (settled) settled_.open();
}

}  // namespace autoglm::gateway
