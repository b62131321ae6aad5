#include "gateway/pipeline.h"

#include "base/random.h"
#include "gateway/admission/token_estimate.h"
#include "runtime/race.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace autoglm::gateway {

namespace {

/// The error of a call whose time is up; names the setting that would allow more.
Error timed_out(const CallTimeouts& timeouts, bool streamed, bool begun, bool total) {
  std::string message;
  if (!streamed) {
    message = fmt::format(
        "the answer was not complete within {} s; ask for fewer tokens, stream it, or raise API_TIMEOUT",
        to_seconds(timeouts.request));
  } else if (total) {
    message = fmt::format("the stream was not over within {} s, the most that is allowed for it",
                          to_seconds(timeouts.total));
  } else if (!begun) {
    message = fmt::format(
        "no token came within {} s: the server is busy or the prompt is long; try again, or raise "
        "API_TIMEOUT",
        to_seconds(timeouts.first_token));
  } else {
    message = fmt::format("the stream stood still for {} s and was ended", to_seconds(timeouts.idle));
  }
  return Error{.code = ErrorCode::kDeadlineExceeded,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = std::move(message),
               .reason = "timeout"};
}

/// Ends a stream whose next events do not come in time; the work behind it is cancelled with it.
class TimedStream final : public EventStream {
 public:
  TimedStream(CallPermits permits, std::shared_ptr<Endpoint> endpoint, std::unique_ptr<EventStream> inner,
              bool streamed, CallTimeouts timeouts, Deadline first, Deadline total, bool callers_time)
      : permits_(std::move(permits)),
        endpoint_(std::move(endpoint)),
        inner_(std::move(inner)),
        streamed_(streamed),
        timeouts_(timeouts),
        deadline_(first),
        total_(total),
        callers_time_(callers_time) {
    // Whatever ends the answer before its first part, the permits know by then whose it is.
    if (!permits_.empty()) note_fallback();
  }

  Task<Result<EventBatch>> next() override {
    if (last_) co_return co_await end();
    if (!inner_) co_return fail(stream_is_over());
    auto batch = co_await with_deadline(deadline_, inner_->next(), "the next token");
    if (!permits_.empty()) {
      if (batch) {
        note_fallback();
        const bool allowed = note(*batch);
        if (batch->last()) {
          last_ = std::move(*batch);
          co_return co_await end();
        }
        if (!allowed) {
          inner_.reset();
          co_return fail(std::move(*refusal_));
        }
      } else if (!begun_ && !(callers_time_ && deadline_.passed())) {
        permits_.forget();
      }
    }
    if (!batch && batch.error().code == ErrorCode::kDeadlineExceeded && deadline_.passed()) {
      inner_.reset();
      co_return fail(timed_out(timeouts_, streamed_, begun_, total_.passed()));
    }
    begun_ = true;
    // A whole answer keeps its first deadline.
    if (streamed_) deadline_ = earlier(Deadline::after(timeouts_.idle), total_);
    co_return batch;
  }
  const StreamOrigin* origin() const override { return inner_ ? inner_->origin() : nullptr; }

 private:
  void note_fallback() {
    const StreamOrigin* const origin = inner_->origin();
    if (origin == nullptr || origin->fallback.empty()) return;
    if (origin->attempts == 0) {
      permits_.forget();  // the configured text is nobody's work
    } else {
      permits_.served_by(origin->fallback);
    }
  }

  /// Whether the answer may go on. Not inlined: an error is large, and the frame that holds it is every
  /// call's.
  [[gnu::noinline]] bool note(const EventBatch& batch) {
    auto allowed = permits_.note(batch);
    if (!allowed) refusal_ = std::make_unique<Error>(std::move(allowed).error());
    return allowed.has_value();
  }

  /// Hands on the last batch when the permits allow it. The batch is kept meanwhile: the caller may give up
  /// the wait and call `next` again.
  [[gnu::noinline]] Task<Result<EventBatch>> end() {
    auto closed = co_await permits_.close();
    EventBatch batch = *std::exchange(last_, std::nullopt);
    if (!closed) co_return fail(std::move(closed).error());
    co_return batch;
  }

  CallPermits permits_;                 // given back when the work has ended
  std::shared_ptr<Endpoint> endpoint_;  // must outlive its stream
  std::unique_ptr<EventStream> inner_;
  bool streamed_;
  bool begun_ = false;
  std::optional<EventBatch> last_;
  std::unique_ptr<Error> refusal_;  // of a permit
  CallTimeouts timeouts_;
  Deadline deadline_;
  Deadline total_;
  bool callers_time_;  // the caller has set the first deadline
};

Error nothing_there(std::string message, std::string param) {
  return Error{.code = ErrorCode::kNotFound,
               .origin = Origin::kClient,
               .message = std::move(message),
               .param = std::move(param),
               .reason = "unknown_path"};
}

Error model_not_named(const Caller& caller) {
  return Error{.code = ErrorCode::kPermissionDenied,
               .origin = Origin::kClient,
               .message = fmt::format("the key \"{}\" may use only some models: name one in the body's field "
                                      "model; it may use: {}",
                                      caller.key, fmt::join(caller.models, ", ")),
               .param = "model",
               .reason = "model_not_named"};
}

/// The time that the caller allows, where that is less.
CallTimeouts shortened(CallTimeouts timeouts, Deadline callers) {
  if (callers.is_never()) return timeouts;
  const auto left = std::chrono::floor<std::chrono::milliseconds>(callers.remaining());
  timeouts.request = std::min<Duration>(timeouts.request, left);
  timeouts.first_token = std::min<Duration>(timeouts.first_token, left);
  return timeouts;
}

bool is_late(const Error& error, Deadline deadline) {
  return error.code == ErrorCode::kDeadlineExceeded && error.reason.empty() && deadline.passed();
}

}  // namespace

Task<Result<Pipeline::Answer>> Pipeline::generate(std::unique_ptr<InferenceRequest> request,
                                                  CallContext context) const {
  // 1. The model that the name stands for now; the answer keeps it to its end, whatever is configured
  // meanwhile.
  const std::shared_ptr<const ModelDirectory> models = models_.of_loop(EventLoop::current().index());
  const auto found = models->find(request->model, context.caller.get());
  if (!found) co_return fail(found.error());
  const std::shared_ptr<Endpoint>& endpoint = (*found)->endpoint;

  // 2. The time it may take.
  const bool streamed = request->wire.stream;
  const bool callers_time = !context.deadline.is_never();
  const CallTimeouts timeouts = shortened((*found)->timeouts, context.deadline);
  const Deadline total = streamed ? Deadline::after(timeouts.total) : Deadline::never();
  context.deadline = earlier(earlier(context.deadline, total),
                             Deadline::after(streamed ? timeouts.first_token : timeouts.request));

  // 3. Whether it may go on.
  CallPermits permits;
  if (has_checks()) {
    const TokenEstimate tokens = estimate_tokens(*request);
    auto admitted = co_await with_deadline(
        context.deadline,
        admit({.model = (*found)->name, .request = request.get(), .tokens = tokens, .context = context}),
        "admission");
    if (!admitted) co_return fail(std::move(admitted).error());
    permits.take(std::move(*admitted));
    if (!permits.empty()) permits.begin(tokens);
  }

  // 4. The endpoint does the work.
  if (endpoint->passes_through()) {
    // An endpoint that continues a broken stream must draw as the first one did.
    if (GenerateRequest* work = request->generation(); work != nullptr && !work->sampling.seed) {
      work->sampling.seed = thread_random()() >> 1U;
      request->seed_chosen = true;
    }
  } else {
    request->wire.bytes = {};  // not needed any more, and a generation may be long
  }
  // For kPassed the caller has set this.
  if (request->wire.protocol != WireBody::Protocol::kPassed)
    request->wire.names_model = request->model == (*found)->name;
  request->model = (*found)->name;
  std::string model = request->model;
  const Deadline deadline = context.deadline;
  auto events =
      co_await with_deadline(deadline, endpoint->generate(InferenceRequestPtr(std::move(request)), context),
                             "starting the generation");
  if (!events) {
    // Work that a caller has cut short by a time of its own is work all the same.
    if (!callers_time || !is_late(events.error(), deadline)) permits.forget();
    // The wait for a whole answer of a remote endpoint ends here.
    if (is_late(events.error(), deadline))
      co_return fail(timed_out(timeouts, streamed, false, total.passed()));
    co_return fail(std::move(events).error());
  }

  // 5. Its events come in time, or the call ends.
  const RateReport rates = permits.report();
  co_return Answer{.model = std::move(model),
                   .endpoint = endpoint,
                   .events = std::make_unique<TimedStream>(std::move(permits), endpoint, std::move(*events),
                                                           streamed, timeouts, deadline, total, callers_time),
                   .rates = rates};
}

Task<Result<UnaryAnswer>> Pipeline::answer(std::string model, UnaryRequest request,
                                           CallContext context) const {
  const std::shared_ptr<const ModelDirectory> models = models_.of_loop(EventLoop::current().index());
  const auto found = models->find(model, context.caller.get());
  if (!found) co_return fail(found.error());
  const CallTimeouts timeouts = shortened((*found)->timeouts, context.deadline);
  context.deadline = earlier(context.deadline, Deadline::after(timeouts.request));
  std::optional<CallPermits> permits;
  if (has_checks()) {
    auto admitted = co_await with_deadline(context.deadline,
                                           admit({.model = (*found)->name, .context = context}), "admission");
    if (!admitted) co_return fail(std::move(admitted).error());
    permits.emplace(std::move(*admitted));
    permits->begin({});
  }
  auto answer = co_await with_deadline(
      context.deadline, (*found)->endpoint->call(std::move(request), context), "the model's answer");
  if (!answer && permits) permits->forget();
  if (!answer && is_late(answer.error(), context.deadline))
    co_return fail(timed_out(timeouts, false, false, false));
  co_return answer;
}

Task<Result<CallPermits>> Pipeline::admit(const AdmissionFacts& facts) const {
  CallPermits permits;
  for (const auto& check : checks_) {
    auto permit = co_await check->admit(facts);
    if (!permit) co_return fail(std::move(permit).error());
    if (*permit) permits.add(std::move(*permit));
  }
  co_return permits;
}

const ModelDirectory& Pipeline::of_this_loop() const {
  return *models_.of_loop(EventLoop::current().index());
}

std::vector<ModelCard> Pipeline::cards(const Caller* caller) const {
  std::vector<ModelCard> all = cards();
  if (caller != nullptr)
    std::erase_if(all, [&](const ModelCard& card) {
      return !caller->may_use(card.root.empty() ? card.name : card.root);
    });
  return all;
}

Result<ModelCard> Pipeline::card(const std::string& name, const Caller* caller) const {
  const auto models = models_.now();
  const auto found = models->find(name, caller);
  if (!found) return fail(found.error());
  ModelCard card = (*found)->endpoint->card();
  card.name = name;
  if (name != (*found)->name) card.root = (*found)->name;
  return card;
}

bool Pipeline::judged_elsewhere(std::string_view model) const {
  const auto found = of_this_loop().find(model);
  return found && (*found)->endpoint->judges_bodies();
}

Result<std::string> Pipeline::model_at(std::string_view path, const std::string& named,
                                       const Caller* caller) const {
  const ModelDirectory& models = of_this_loop();
  if (!named.empty()) {
    const auto found = models.find(named, caller);
    if (!found) return fail(found.error());
    if ((*found)->endpoint->passes(path)) return named;
    return fail(nothing_there(
        fmt::format("the model \"{}\" has nothing at /v1/{}; see models[].pass", named, path), "model"));
  }
  if (caller != nullptr && !caller->may_use_all()) return fail(model_not_named(*caller));
  for (const auto& entry : models.entries()) {
    if (entry.endpoint->passes(path)) return entry.name;
  }
  return fail(nothing_there(fmt::format("no model has anything at /v1/{}", path), ""));
}

bool Pipeline::has_model_at(std::string_view path) const {
  return std::ranges::any_of(of_this_loop().entries(),
                             [&](const auto& entry) { return entry.endpoint->passes(path); });
}

}  // namespace autoglm::gateway
