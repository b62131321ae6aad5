#pragma once

#include "base/published.h"
#include "gateway/endpoint/http_clients.h"
#include "gateway/endpoint/http_endpoint.h"
#include "gateway/endpoint/process/engine_report.h"
#include "gateway/endpoint/process/restart_policy.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "runtime/child_process.h"
#include "runtime/gate.h"
#include "runtime/handover.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace autoglm::gateway {

/// A process that runs an engine, as its callers see it. A caller keeps the view alive, also after the
/// process died.
struct EngineProcessView {
  EngineProcessView(std::shared_ptr<HandoverDialer> to, pid_t number, HttpClients& clients,
                    std::shared_ptr<const LiveGroupShares> shares);

  std::shared_ptr<HandoverDialer> dialer;
  pid_t pid;
  HttpEndpoint endpoint;
  bool gone() const { return dialer->gone(); }
};

/// Keeps a process that runs an engine: starts it, reads its reports, and restarts it when it dies, as
/// RestartPolicy says. Works on its own thread, which lives as long as this, since the kernel ends the
/// process with the thread that started it. Thread-safe; the destructor ends the process, by force if it does
/// not end itself within seconds.
class EngineKeeper {
 public:
  struct Options {
    std::string model;                                        ///< as clients call it
    std::vector<std::string> arguments;                       ///< the process's arguments
    std::string input;                                        ///< what it reads first from its standard input
    std::shared_ptr<const LiveGroupShares> shares = nullptr;  ///< told to it with each request
  };
  EngineKeeper(Options options, HttpClients& clients, observe::MetricRegistry& metrics, observe::Logger& log);
  ~EngineKeeper();
  EngineKeeper(const EngineKeeper&) = delete;
  EngineKeeper& operator=(const EngineKeeper&) = delete;

  /// The present state. Immutable; replaced whole.
  struct Now {
    std::shared_ptr<EngineProcessView> process;  ///< null between two processes
    bool up = false;                             ///< it has loaded its model
    bool served = false;                         ///< this process, or an earlier one, was up
    MonotonicTime restart_at;                    ///< without a process: when the next one starts
    EngineReport report;
  };
  std::shared_ptr<const Now> now() const { return now_.get(); }
  /// Open while waiting is pointless: the engine is up, or has failed.
  Gate& settled() { return settled_; }

 private:
  struct Life;
  void run();
  Life attend(ChildProcess& child);
  void hear(const ChildProcess::News& news, Life& life);
  void take(EngineReport report, Life& life);
  Duration mourn(const Life& life, const RestartPolicy::Restart& restart);
  void publish(Now now);
  void register_metrics(observe::MetricRegistry& metrics);

  Options options_;
  HttpClients& clients_;
  observe::MetricRegistry& metrics_;
  observe::Logger& log_;
  Published<Now> now_;
  Gate settled_;
  std::atomic<double> load_seconds_{0};
  // Of the thread:
  std::string last_cause_;  // of the last death; empty: none
  bool failed_ = false;     // requests do not wait, until it is up again
  MonotonicTime died_at_;

  WakeUpCall stop_;
  std::vector<std::shared_ptr<void>> gauges_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace autoglm::gateway
