#pragma once

#include "base/result.h"
#include "gateway/admission/admission_check.h"
#include "gateway/admission/call_permits.h"
#include "gateway/model_directory.h"
#include "inference/call_context.h"
#include "inference/endpoint.h"
#include "runtime/task.h"

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// The one way in for what clients ask of a model, whatever their protocol. The stages of a call, in order,
/// are in `generate`. One object serves all loops; thread-safe; calls belong to the calling loop.
class Pipeline {
 public:
  struct Answer {
    std::string model;  ///< as resolved
    std::shared_ptr<const Endpoint> endpoint;
    std::unique_ptr<EventStream> events;
    RateReport rates;  ///< the caller's limits, as this call leaves them
  };

  using Checks = std::vector<std::unique_ptr<AdmissionCheck>>;

  explicit Pipeline(const LiveDirectory& models, Checks checks = {})
      : models_(models), checks_(std::move(checks)) {}

  /// `request` is not shared yet; its model is the name that the client sent, empty: the default. Errors:
  /// those of the stages; kDeadlineExceeded.
  Task<Result<Answer>> generate(std::unique_ptr<InferenceRequest> request, CallContext context) const;

  /// Answers a request that has no stream, within the time that the model's whole answers have. `model` as in
  /// `generate`. Errors: likewise.
  Task<Result<UnaryAnswer>> answer(std::string model, UnaryRequest request, CallContext context) const;
  /// The same, with the answer as the request's type names it.
  template <class Request>
  Task<Result<typename Request::Answer>> call(std::string model, Request request, CallContext context) const;

  const LiveDirectory& models() const { return models_; }

  /// Whether calls pass the checks; they do at first. For a configuration that asks nothing of them, so that
  /// they cost nothing then. Thread-safe.
  void use_checks(bool use) { use_checks_.store(use, std::memory_order_relaxed); }

  /// The models, a card for each name.
  std::vector<ModelCard> cards() const { return models_.now()->cards(); }
  /// Those that `caller` may use; all for a null one.
  std::vector<ModelCard> cards(const Caller* caller) const;
  /// Errors: those of ModelDirectory::find.
  Result<ModelCard> card(const std::string& name, const Caller* caller) const;

  /// Whether the endpoints of `model`, and not this process, judge what is wrong with a body.
  bool judged_elsewhere(std::string_view model) const;
  /// The model that takes requests to `path` (below /v1/), a path that this process does not know: the one
  /// that the request names, else the first. A caller who may use only some models must name one: what
  /// nobody here reads may name another to the endpoint. Errors: kNotFound, kPermissionDenied.
  Result<std::string> model_at(std::string_view path, const std::string& named, const Caller* caller) const;
  /// Whether any model does.
  bool has_model_at(std::string_view path) const;

 private:
  // Not inlined: most processes have no check, and its frame would be a part of every call's.
  [[gnu::noinline]] Task<Result<CallPermits>> admit(const AdmissionFacts& facts) const;
  const ModelDirectory& of_this_loop() const;
  bool has_checks() const { return !checks_.empty() && use_checks_.load(std::memory_order_relaxed); }

  const LiveDirectory& models_;
  const Checks checks_;
  std::atomic<bool> use_checks_{true};
};

template <class Request>
Task<Result<typename Request::Answer>> Pipeline::call(std::string model, Request request,
                                                      CallContext context) const {
  co_return of_kind<Request>(co_await answer(std::move(model), std::move(request), std::move(context)));
}

}  // namespace autoglm::gateway
