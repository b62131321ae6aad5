#pragma once

#include "inference/endpoint.h"

#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace autoglm {

/// An endpoint that says what it was told to say. Set it up before use, and look at what it saw afterwards.
class FakeEndpoint final : public Endpoint {
 public:
  explicit FakeEndpoint(std::string name) { card_.name = std::move(name); }

  /// What the next generations do: refuse, or give these batches, then hang or fail or end.
  std::optional<Error> refuse_with;
  std::vector<std::string> words = {"Hello", " world"};
  bool hang_after_words = false;
  bool hang_calls = false;  ///< of requests that have no stream
  std::optional<Error> fail_after_words;
  LoadReport current_load;
  std::shared_ptr<const PrefixSet> current_prefixes;
  Continuation current_continuation = Continuation::kNone;
  EndpointStatus current_status{.state = EndpointStatus::State::kReady, .progress = 1};

  /// What it saw.
  std::vector<InferenceRequestPtr> requests;
  std::vector<std::string> tenants;  ///< of each
  std::atomic<std::size_t> open_streams = 0;
  std::atomic<std::size_t> cancelled_streams = 0;  ///< destroyed before their last batch

  Task<Result<std::unique_ptr<EventStream>>> generate(InferenceRequestPtr request,
                                                      const CallContext& context) override;
  /// Three tokens for any text, an 'x' for each token.
  Task<Result<UnaryAnswer>> call(UnaryRequest request, const CallContext& context) override;
  Continuation continuation(const InferenceRequest&) const override { return current_continuation; }
  ModelCard card() const override { return card_; }
  EndpointStatus status() const override { return current_status; }
  LoadReport load() const override { return current_load; }
  std::shared_ptr<const PrefixSet> prefixes() const override { return current_prefixes; }

 private:
  class Stream;
  std::mutex mutex_;  // of what it saw
  ModelCard card_{.context_length = 2048};
};

/// For code that shares what a test owns.
inline std::shared_ptr<Endpoint> unowned(Endpoint& endpoint) { return {std::shared_ptr<void>(), &endpoint}; }

}  // namespace autoglm
