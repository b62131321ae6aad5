#pragma once

#include "base/assert.h"
#include "base/result.h"
#include "inference/call_context.h"
#include "inference/events.h"
#include "inference/load_report.h"
#include "inference/model_task.h"
#include "inference/prefix_digests.h"
#include "inference/request.h"
#include "inference/unary_request.h"
#include "runtime/task.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace autoglm {

/// What is known of a model that is served.
struct ModelCard {
  std::string name;
  std::string root = {};             ///< the model that `name` is an alias of; empty: `name` is no alias
  std::string source;                ///< file or address, for people
  std::uint32_t context_length = 0;  ///< tokens of prompt and answer together; 0: unknown
  std::int64_t created = 0;          ///< unix seconds
  bool has_chat_template = false;
  ModelTask task = ModelTask::kGenerate;
  std::vector<SamplingDefault> sampling;  ///< empty: unknown
  std::string system_message;             ///< for chats without one; empty: the template's own
};

/// Whether an endpoint takes requests. Readiness answers and `/health` show it.
struct EndpointStatus {
  enum class State : std::uint8_t { kLoading, kReady, kFailed, kDraining };
  State state = State::kLoading;
  double progress = 0;  ///< of loading, 0 … 1
  std::string
      detail;  ///< kFailed: why, and what to do; kLoading: what is happening, where that is not obvious
};

/// The error for requests to a model that could not be loaded. `why` names files and is for the log only.
Error load_failed(const std::string& model, const std::string& why);

/// Whether an endpoint can continue an answer that another endpoint began, and from what.
enum class Continuation : std::uint8_t {
  kNone,
  kText,   ///< from the text so far; what follows is as likely, not the same
  kExact,  ///< from the tokens so far; what follows is the same
};

/// A place that answers for a model: the engine in this process, or a server across the network.
/// One object serves all loops; its methods are thread-safe, and what they return belongs to the
/// calling loop. Errors say by `retry` whether another endpoint may succeed.
class Endpoint {
 public:
  virtual ~Endpoint() = default;

  /// Starts the work. An error means that nothing was generated. Destroying the task cancels the work and
  /// releases all that it holds. `context` must outlive the task; the stream keeps what it needs of it.
  virtual Task<Result<std::unique_ptr<EventStream>>> generate(InferenceRequestPtr request,
                                                              const CallContext& context) = 0;

  /// Answers a request that has no stream. The answer is of the request's kind. `context` must outlive the
  /// task. Errors: kUnimplemented, where the endpoint has nothing of this kind.
  virtual Task<Result<UnaryAnswer>> call(UnaryRequest request, const CallContext& context) = 0;

  /// Whether it forwards `InferenceRequest::wire`.
  virtual bool passes_through() const { return false; }

  /// Whether it takes generations whose bodies this process does not understand, and judges them itself.
  virtual bool judges_bodies() const { return false; }
  /// Whether it takes requests to `path` (below /v1/), a path that this process does not know.
  virtual bool passes(std::string_view path) const {
    static_cast<void>(path);
    return false;
  }

  /// How it could continue an answer to `request` that another endpoint began.
  virtual Continuation continuation(const InferenceRequest& request) const {
    static_cast<void>(request);
    return Continuation::kNone;
  }

  virtual ModelCard card() const = 0;
  virtual EndpointStatus status() const = 0;
  virtual LoadReport load() const = 0;
  /// Landmarks of the prompts that it has read lately; null: it reports none.
  virtual std::shared_ptr<const PrefixSet> prefixes() const { return nullptr; }
  /// Its metrics in Prometheus' text format; empty: they are in this process's registry, or it reports none.
  virtual Task<std::string> metrics() { co_return std::string(); }
};

/// An answer of `Endpoint::call` as the type of its request names it.
template <class Request>
Result<typename Request::Answer> of_kind(Result<UnaryAnswer> answer) {
  if (!answer) return fail(std::move(answer).error());
  auto* const found = std::get_if<typename Request::Answer>(&*answer);
  AUTOGLM_ASSERT(found != nullptr, "an endpoint's answer is of the request's kind");
  return std::move(*found);
}

/// `endpoint.call`, with the answer as the request's type names it.
template <class Request>
Task<Result<typename Request::Answer>> call(Endpoint& endpoint, Request request, const CallContext& context) {
  co_return of_kind<Request>(co_await endpoint.call(std::move(request), context));
}

}  // namespace autoglm
