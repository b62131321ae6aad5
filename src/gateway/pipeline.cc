#include "gateway/pipeline.h"

#include "base/random.h"
#include "runtime/race.h"

#include <fmt/format.h>

#include <algorithm>
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
  TimedStream(std::shared_ptr<Endpoint> endpoint, std::unique_ptr<EventStream> inner, bool streamed,
              CallTimeouts timeouts, Deadline first, Deadline total)
      : endpoint_(std::move(endpoint)),
        inner_(std::move(inner)),
        streamed_(streamed),
        timeouts_(timeouts),
        deadline_(first),
        total_(total) {}

  Task<Result<EventBatch>> next() override {
    if (!inner_) co_return fail(stream_is_over());
    auto batch = co_await with_deadline(deadline_, inner_->next(), "the next token");
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
  std::shared_ptr<Endpoint> endpoint_;  // must outlive its stream
  std::unique_ptr<EventStream> inner_;
  bool streamed_;
  bool begun_ = false;
  CallTimeouts timeouts_;
  Deadline deadline_;
  Deadline total_;
};

}  // namespace

Task<Result<Pipeline::Answer>> Pipeline::generate(std::unique_ptr<InferenceRequest> request,
                                                  CallContext context) const {
  // 1. The model that the name stands for now; the answer keeps it to its end, whatever is configured
  // meanwhile.
  const std::shared_ptr<const ModelDirectory> models = models_.of_loop(EventLoop::current().index());
  const auto found = models->find(request->model);
  if (!found) co_return fail(found.error());
  const std::shared_ptr<Endpoint>& endpoint = (*found)->endpoint;

  // 2. The time it may take.
  const bool streamed = request->wire.stream;
  CallTimeouts timeouts = (*found)->timeouts;
  if (!context.deadline.is_never()) {  // the caller's own
    const auto left = std::chrono::floor<std::chrono::milliseconds>(context.deadline.remaining());
    timeouts.request = std::min<Duration>(timeouts.request, left);
    timeouts.first_token = std::min<Duration>(timeouts.first_token, left);
  }
  const Deadline total = streamed ? Deadline::after(timeouts.total) : Deadline::never();
  context.deadline = earlier(earlier(context.deadline, total),
                             Deadline::after(streamed ? timeouts.first_token : timeouts.request));

  // 3. The endpoint does the work.
  if (endpoint->passes_through()) {
    // An endpoint that continues a broken stream must draw as the first one did.
    auto& seed = std::get<GenerateRequest>(request->work).sampling.seed;
    if (!seed) seed = thread_random()() >> 1U;
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
    // The wait for a whole answer of a remote endpoint ends here.
    const bool late = events.error().code == ErrorCode::kDeadlineExceeded && events.error().reason.empty();
    if (late && deadline.passed()) co_return fail(timed_out(timeouts, streamed, false, total.passed()));
    co_return fail(std::move(events).error());
  }

  // 4. Its events come in time, or the call ends.
  co_return Answer{std::move(model), std::make_unique<TimedStream>(endpoint, std::move(*events), streamed,
                                                                   timeouts, deadline, total)};
}

}  // namespace autoglm::gateway
