#pragma once

#include "gateway/endpoint/process/engine_keeper.h"
#include "inference/endpoint.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// A model in its own process, which may die alone: requests on it then end with an error, and later ones
/// wait until it is back. The client's body and the answer's frames pass through, as with a remote server.
/// Thread-safe like every Endpoint. Destroy it after its streams and before `clients`.
class EngineProcess final : public Endpoint {
 public:
  struct Options {
    EngineKeeper::Options process;
    std::string source;         ///< of the model, for people
    std::uint32_t max_waiting;  ///< requests that may wait for a restart; further ones are told 429
  };
  EngineProcess(Options options, HttpClients& clients, observe::MetricRegistry& metrics,
                observe::Logger& log);

  Task<Result<std::unique_ptr<EventStream>>> generate(InferenceRequestPtr request,
                                                      const CallContext& context) override;
  Task<Result<UnaryAnswer>> call(UnaryRequest request, const CallContext& context) override;
  bool passes_through() const override { return true; }
  Continuation continuation(const InferenceRequest& request) const override;
  ModelCard card() const override;
  EndpointStatus status() const override { return keeper_.now()->report.status; }
  LoadReport load() const override;
  std::shared_ptr<const PrefixSet> prefixes() const override { return keeper_.now()->report.prefixes; }
  Task<std::string> metrics() override;

 private:
  class Stream;
  /// Waits until the process is up. Errors: kUnavailable when waiting is pointless, or it is not back in
  /// time.
  Task<Result<std::shared_ptr<EngineProcessView>>> process(Deadline deadline);
  Error died() const;
  Error not_up(const EngineKeeper::Now& now) const;
  Error not_back(const EngineKeeper::Now& now) const;

  Options options_;
  std::int64_t created_;
  std::atomic<std::uint32_t> waiting_{0};
  EngineKeeper keeper_;
};

}  // namespace autoglm::gateway
