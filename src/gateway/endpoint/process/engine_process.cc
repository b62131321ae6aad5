#include "gateway/endpoint/process/engine_process.h"

#include "observe/metrics/exposition.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

namespace autoglm::gateway {

namespace {

using State = EndpointStatus::State;
using std::chrono::milliseconds;
using std::chrono::seconds;

// We give up before the caller's own deadline, whose error would not say what was waited for.
constexpr Duration kSooner = milliseconds(20);
// The keeper learns of the process's end a moment after its callers.
constexpr Duration kUntilNoticed = milliseconds(2);
constexpr Duration kUntilItShows = milliseconds(500);
constexpr Duration kCallTime = seconds(30);  // for calls without their own deadline
constexpr Duration kMetricsTime = seconds(1);
// Other families describe the process, and this server has them, too.
constexpr std::array<std::string_view, 2> kEngineFamilies = {"vllm:", "autoglm_engine_"};

Deadline sooner(Deadline deadline) {
  return deadline.is_never() ? deadline : Deadline(deadline.at() - kSooner);
}

/// Whether an answer broke off because the process has died: its connections may end a moment before the
/// socket that shows its death.
Task<bool> died_with(const EngineProcessView& process, const Error& error) {
  const bool broke =
      (error.code == ErrorCode::kBadGateway || error.code == ErrorCode::kUnavailable) &&
      (error.reason.empty() || error.reason == "bad_stream" || error.reason == "connection_lost");
  const Deadline until = Deadline::after(broke ? kUntilItShows : Duration::zero());
  while (!process.gone() && !until.passed()) co_await sleep_for(kUntilNoticed);
  co_return process.gone();
}

/// One of the waiting requests.
class WaitingCall {
 public:
  explicit WaitingCall(std::atomic<std::uint32_t>& count) : count_(count), number_(count.fetch_add(1) + 1) {}
  ~WaitingCall() { count_.fetch_sub(1); }
  WaitingCall(const WaitingCall&) = delete;
  WaitingCall& operator=(const WaitingCall&) = delete;
  std::uint32_t number() const { return number_; }

 private:
  std::atomic<std::uint32_t>& count_;
  std::uint32_t number_;
};

}  // namespace

/// An answer of a process; when the process dies, the error says so.
class EngineProcess::Stream final : public EventStream {
 public:
  Stream(const EngineProcess& owner, std::shared_ptr<EngineProcessView> process,
         std::unique_ptr<EventStream> inner)
      : owner_(owner), process_(std::move(process)), inner_(std::move(inner)) {}

  Task<Result<EventBatch>> next() override {
    if (!broke_) {
      auto batch = co_await inner_->next();
      if (batch) co_return batch;
      broke_ = std::move(batch.error());
    }
    // A caller that gives this wait up and calls again must get the same error.
    if (co_await died_with(*process_, *broke_)) co_return fail(owner_.died());
    co_return fail(*broke_);
  }
  bool tells_tokens() const override { return inner_->tells_tokens(); }

 private:
  const EngineProcess& owner_;  // kept alive by the stream's owner
  std::shared_ptr<EngineProcessView> process_;
  std::unique_ptr<EventStream> inner_;
  std::optional<Error> broke_;
};

EngineProcess::EngineProcess(Options options, HttpClients& clients, observe::MetricRegistry& metrics,
                             observe::Logger& log)
    : options_(std::move(options)),
      created_(std::time(nullptr)),
      keeper_(options_.process, clients, metrics, log) {}

Error EngineProcess::died() const {
  return Error{
      .code = ErrorCode::kBadGateway,
      .origin = Origin::kEndpoint,
      .retry = Retry::kElsewhere,
      .message = fmt::format(
          "the engine of \"{}\" died while it answered, and is being started again; send the request "
          "once more",
          options_.process.model),
      .reason = "engine_died"};
}

/// The error that an engine in this process would give.
Error EngineProcess::not_up(const EngineKeeper::Now& now) const {
  const EndpointStatus& status = now.report.status;
  Error error{.code = ErrorCode::kUnavailable, .origin = Origin::kEndpoint, .retry = Retry::kElsewhere};
  if (status.state == State::kFailed) {
    return load_failed(options_.process.model, status.detail);
  } else {
    error.message = fmt::format("the model \"{}\" is loading ({:.0f} %); try again shortly",
                                options_.process.model, 100 * status.progress);
    error.reason = "model_loading";
    error.retry_after = seconds(1);
  }
  return error;
}

Error EngineProcess::not_back(const EngineKeeper::Now& now) const {
  const auto left = std::chrono::ceil<seconds>(now.restart_at - std::chrono::steady_clock::now());
  return Error{.code = ErrorCode::kUnavailable,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = fmt::format("the engine of \"{}\" is not back in time ({}); try again shortly",
                                      options_.process.model, now.report.status.detail),
               .reason = "engine_restarting",
               .retry_after = std::max(left, seconds(1))};
}

Task<Result<std::shared_ptr<EngineProcessView>>> EngineProcess::process(Deadline deadline) {
  std::optional<WaitingCall> waiting;
  while (true) {
    const auto now = keeper_.now();
    if (now->up && !now->process->gone()) co_return now->process;
    // A first load may be a long download: only an engine that was up before is waited for.
    if (now->report.status.state == State::kFailed || !now->served) co_return fail(not_up(*now));
    if (now->restart_at > deadline.at() || deadline.passed()) co_return fail(not_back(*now));
    if (!waiting && waiting.emplace(waiting_).number() > options_.max_waiting) {
      Error full = not_back(*now);
      full.code = ErrorCode::kResourceExhausted;
      full.message = fmt::format("{} requests wait for \"{}\" already; try again shortly",
                                 options_.max_waiting, options_.process.model);
      full.reason = "queue_full";
      co_return fail(std::move(full));
    }
    if (now->up) {
      co_await sleep_for(kUntilNoticed);
    } else if (!co_await keeper_.settled().wait(deadline)) {
      co_return fail(not_back(*keeper_.now()));
    }
  }
}

Task<Result<std::unique_ptr<EventStream>>> EngineProcess::generate(InferenceRequestPtr request,
                                                                   const CallContext& context) {
  while (true) {
    auto live = co_await process(sooner(context.deadline));
    if (!live) co_return fail(live.error());
    auto stream = co_await (*live)->endpoint.generate(request, context);
    if (stream) co_return std::make_unique<Stream>(*this, std::move(*live), std::move(*stream));
    if (!co_await died_with(**live, stream.error())) co_return fail(stream.error());
    // Only a request that was never sent is sent again: a request that kills its engine does so once.
    if (stream.error().reason != "connect_failed") co_return fail(died());
  }
}

Task<Result<UnaryAnswer>> EngineProcess::call(UnaryRequest request, const CallContext& context) {
  auto live = co_await process(earlier(Deadline::after(kCallTime), context.deadline));
  if (!live) co_return fail(live.error());
  auto answer = co_await (*live)->endpoint.call(std::move(request), context);
  if (!answer && co_await died_with(**live, answer.error())) co_return fail(died());
  co_return answer;
}

Continuation EngineProcess::continuation(const InferenceRequest& request) const {
  const bool frames = request.wire.stream && request.wire.protocol != WireBody::Protocol::kGenerate;
  return frames ? Continuation::kExact : Continuation::kNone;
}

ModelCard EngineProcess::card() const {
  const auto now = keeper_.now();
  return {.name = options_.process.model,
          .source = options_.source,
          .context_length = now->report.context_length,
          .created = created_,
          .has_chat_template = now->report.has_chat_template,
          .task = now->report.task,
          .sampling = now->report.sampling,
          .system_message = now->report.system_message};
}

LoadReport EngineProcess::load() const {
  LoadReport load = keeper_.now()->report.load;
  load.waiting += waiting_.load(std::memory_order_relaxed);
  return load;
}

Task<std::string> EngineProcess::metrics() {
  const auto live = keeper_.now()->process;
  if (!live) co_return std::string();
  auto page = co_await live->endpoint.metrics_page(kMetricsTime);
  if (!page) co_return std::string();
  co_return observe::families_of(*page, kEngineFamilies);
}

}  // namespace autoglm::gateway
