#pragma once

#include "gateway/endpoint/process/engine_keeper.h"
#include "inference/endpoint.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// A model in a process of its own, which may die without anybody else: requests on it end with an error
/// then, later ones wait until it is back. The client's body and the answer's frames pass through, as to a
/// server elsewhere. Thread-safe as every Endpoint. Destroy it behind the streams and before `clients`.
class EngineProcess final : public Endpoint {
 public:
  struct Options {
    EngineKeeper::Options process;
    std::string source;         ///< of the model, for people
    std::uint32_t max_waiting;  ///< requests that wait for a restart; further ones are told 429
  };
  EngineProcess(Options options, HttpClients& clients, observe::MetricRegistry& metrics,
                observe::Logger& log);

  Task<Result<std::unique_ptr<EventStream>>> generate(InferenceRequestPtr request,
                                                      const CallContext& context) override;
  Task<Result<TokenizeResult>> tokenize(TokenizeRequest request, const CallContext& context) override;
  Task<Result<std::string>> detokenize(std::vector<TokenId> tokens) override;
  Task<Result<std::string>> tokenizer_info() override;
  bool passes_through() const override { return true; }
  Continuation continuation(const InferenceRequest& request) const override;
  ModelCard card() const override;
  EndpointStatus status() const override { return keeper_.now()->report.status; }
  LoadReport load() const override;
  std::shared_ptr<const PrefixSet> prefixes() const override { return keeper_.now()->report.prefixes; }
  Task<std::string> metrics() override;

 private:
  class Stream;
  /// The process once it is up. Errors: kUnavailable when it cannot be waited for, or is not back in time.
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
