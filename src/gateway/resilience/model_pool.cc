#include "gateway/resilience/model_pool.h"

#include "gateway/resilience/pooled_stream.h"
#include "gateway/resilience/prefix_digests.h"
#include "runtime/race.h"
#include "runtime/scope.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::uint32_t kMinRetries = 3;  // that a budget always allows

/// An answer of another model, marked as such.
class FallbackStream final : public EventStream {
 public:
  FallbackStream(std::unique_ptr<EventStream> inner, StreamOrigin origin)
      : inner_(std::move(inner)), origin_(std::move(origin)) {}
  Task<Result<EventBatch>> next() override { return inner_->next(); }
  const StreamOrigin* origin() const override { return &origin_; }

 private:
  std::unique_ptr<EventStream> inner_;
  StreamOrigin origin_;
};

}  // namespace

ModelPool::ModelPool(std::string name, PoolConfig config, Dependencies dependencies)
    : name_(std::move(name)),
      config_(std::move(config)),
      dependencies_(std::move(dependencies)),
      first_token_timeout_(config_.timeouts.first_token.value_or(dependencies_.request_timeout)),
      idle_timeout_(config_.timeouts.idle.value_or(dependencies_.request_timeout)),
      budget_(config_.retry.budget_percent, kMinRetries),
      metrics_(dependencies_.metrics, name_) {
  for (const EndpointConfig& endpoint : config_.endpoints) {
    HttpEndpointOptions options{.url = *api_url(endpoint),
                                .api_key = endpoint.api_key,
                                .model = endpoint.model,
                                .headers = {endpoint.headers.begin(), endpoint.headers.end()},
                                .connect_timeout = config_.timeouts.connect};
    std::string shown = options.url.authority();
    const auto same = [&](const auto& member) { return member->name == shown; };
    if (std::ranges::any_of(members_, same)) shown += options.url.target;
    endpoints_.push_back(std::make_unique<HttpEndpoint>(std::move(options), dependencies_.clients));
    members_.push_back(std::make_unique<Member>(std::move(shown), *endpoints_.back(), endpoint.weight));
    members_.back()->backup = endpoint.backup;
    members_.back()->max_connections = endpoint.max_connections;
    breakers_.push_back(std::make_unique<CircuitBreaker>(config_.breaker));
    metrics_.add(dependencies_.metrics, *members_.back(), *breakers_.back());
  }
  Random random = Random::from_entropy();
  for (std::size_t i = 0; i < dependencies_.loops; ++i)
    balancers_.push_back(dependencies_.balancer(random()));
}

ModelPool::~ModelPool() = default;

/// Among the healthy; else the backups; else, since checks may be wrong and there is nothing to lose,
/// anybody.
std::optional<std::size_t> ModelPool::pick(const Attempts& attempts, const InferenceRequest& request,
                                           MonotonicTime now) {
  Balancer& balancer = *balancers_[EventLoop::current().index()];
  const std::vector<std::uint64_t> prefix = balancer.wants_prefix()
                                                ? prefix_digests(std::get<GenerateRequest>(request.work))
                                                : std::vector<std::uint64_t>();
  const auto pick_among = [&](bool backup, bool healthy) {
    return balancer.pick(members_,
                         [&](std::size_t i) {
                           const Member& member = *members_[i];
                           return member.backup == backup &&
                                  member.healthy.load(std::memory_order_relaxed) == healthy &&
                                  member.enabled.load(std::memory_order_relaxed) && !attempts.tried[i] &&
                                  (!attempts.resuming || resumes(i)) && breakers_[i]->admits(now) &&
                                  (member.max_connections == 0 ||
                                   member.in_flight.load(std::memory_order_relaxed) < member.max_connections);
                         },
                         {.prefix = prefix});
  };
  for (const auto& [backup, healthy] :
       {std::pair(false, true), {true, true}, {false, false}, {true, false}}) {
    if (const auto picked = pick_among(backup, healthy)) return picked;
  }
  return std::nullopt;
}

/// What the client is told. Which address refused is for the log; what a server said is for the client.
Error ModelPool::nobody_left(MonotonicTime now, std::optional<Error> last) const {
  if (last && last->code != ErrorCode::kUnavailable) return std::move(*last);
  Duration soonest = config_.breaker.sleep_window;
  for (const auto& breaker : breakers_) soonest = std::min(soonest, breaker->until_probe(now));
  return Error{
      .code = ErrorCode::kUnavailable,
      .origin = Origin::kEndpoint,
      .retry = Retry::kElsewhere,
      .message = fmt::format("none of the {} endpoints of \"{}\" can take the request now; try again shortly",
                             members_.size(), name_),
      .reason = "no_endpoint",
      .retry_after = std::max({std::chrono::ceil<std::chrono::seconds>(soonest), std::chrono::seconds(1),
                               last && last->retry_after ? *last->retry_after : std::chrono::seconds(1)})};
}

Task<Result<ModelPool::Opened>> ModelPool::open_at(std::size_t member, InferenceRequestPtr request,
                                                   CallContext context) {
  Opened opened{.member = member, .stream = {}, .first = {}, .in_flight = InFlight(*members_[member])};
  auto stream = co_await endpoints_[member]->generate(std::move(request), context);
  if (!stream) co_return fail(stream.error());
  auto first = co_await (*stream)->next();
  if (!first) co_return fail(first.error());
  opened.stream = std::move(*stream);
  opened.first = std::move(*first);
  co_return opened;
}

/// Tells breaker and metrics of an attempt that failed; whether somebody else may do better.
bool ModelPool::settle(std::size_t member, CircuitBreaker::Attempt attempt, const Error& error,
                       MonotonicTime now) {
  // A 4xx is the client's own, and a 429 is no failure but a sign of life.
  const bool neutral = error.origin == Origin::kClient || error.code == ErrorCode::kResourceExhausted;
  if (!neutral) attempt.failure(now);
  metrics_.count(member, neutral                                      ? Outcome::kRefused
                         : error.code == ErrorCode::kDeadlineExceeded ? Outcome::kTimeout
                                                                      : Outcome::kFailed);
  return error.retry == Retry::kElsewhere;
}

Task<Result<ModelPool::Opened>> ModelPool::open(InferenceRequestPtr request, const CallContext& context,
                                                Attempts& attempts) {
  std::optional<Error> last;
  while (true) {
    const auto now = std::chrono::steady_clock::now();
    const auto member = pick(attempts, *request, now);
    if (!member) co_return fail(nobody_left(now, std::move(last)));
    attempts.tried[*member] = true;
    if (attempts.count > 0 && !attempts.retry) {
      attempts.retry = budget_.try_retry();
      if (!attempts.retry) {
        metrics_.retries_refused.add();
        co_return fail(nobody_left(now, std::move(last)));
      }
    }
    auto attempt = breakers_[*member]->try_acquire(now);
    if (!attempt) continue;  // somebody else is its probe
    if (attempts.count++ > 0) metrics_.retries.add();
    // A whole answer comes when it is done: only a stream shows by its first token that it is being worked
    // on.
    const Deadline deadline = request->wire.stream
                                  ? earlier(Deadline::after(first_token_timeout_), context.deadline)
                                  : context.deadline;
    auto opened =
        co_await with_deadline(deadline, open_at(*member, request, context), "the endpoint's first token");
    const auto then = std::chrono::steady_clock::now();
    if (opened) {
      attempt->success(then);
      metrics_.count(*member, Outcome::kOk);
      co_return opened;
    }
    if (opened.error().code == ErrorCode::kDeadlineExceeded) {
      opened.error().origin = Origin::kEndpoint;
      opened.error().retry = Retry::kElsewhere;
    }
    dependencies_.log.info("attempt failed", {{"model", name_},
                                              {"request_id", request->id},
                                              {"endpoint", members_[*member]->name},
                                              {"attempt", attempts.count},
                                              {"error", opened.error().message}});
    const bool elsewhere = settle(*member, std::move(*attempt), opened.error(), then);
    last = std::move(opened.error());
    if (!elsewhere || attempts.count >= config_.retry.max_attempts || context.deadline.passed())
      co_return fail(nobody_left(then, std::move(last)));
  }
}

Task<Result<std::unique_ptr<EventStream>>> ModelPool::generate(InferenceRequestPtr request,
                                                               const CallContext& context) {
  Attempts attempts{.tried = std::vector<bool>(members_.size()), .retry = {}};
  RetryBudget::Token active = budget_.begin_request();
  auto opened = co_await open(request, context, attempts);
  if (!opened) {
    if (opened.error().retry != Retry::kElsewhere || config_.fallback.empty()) co_return fail(opened.error());
    co_return co_await fall_back(std::move(request), context, std::move(opened.error()));
  }
  co_return std::make_unique<PooledStream>(*this, std::move(request), context, std::move(attempts),
                                           std::move(active), std::move(*opened));
}

Task<Result<std::unique_ptr<EventStream>>> ModelPool::fall_back(InferenceRequestPtr request,
                                                                const CallContext& context, Error error) {
  for (const std::string& name : config_.fallback) {
    Endpoint* endpoint = dependencies_.find_model(name);
    if (endpoint == nullptr) continue;
    auto copy = std::make_shared<InferenceRequest>(*request);
    copy->model = name;
    auto stream = co_await endpoint->generate(std::move(copy), context);
    if (!stream) continue;
    metrics_.fallbacks.add();
    dependencies_.log.warning(
        "another model answers",
        {{"model", name_}, {"fallback", name}, {"request_id", request->id}, {"error", error.message}});
    StreamOrigin origin{.endpoint = name, .attempts = 1, .fallback = name};
    if (const StreamOrigin* inner = (*stream)->origin()) {
      origin.endpoint = inner->endpoint;
      if (!inner->fallback.empty()) origin.fallback = inner->fallback;
    }
    co_return std::make_unique<FallbackStream>(std::move(*stream), std::move(origin));
  }
  co_return fail(std::move(error));
}

Task<Result<TokenizeResult>> ModelPool::tokenize(TokenizeRequest request) {
  return endpoints_.front()->tokenize(std::move(request));
}

Task<Result<std::string>> ModelPool::detokenize(std::vector<TokenId> tokens) {
  return endpoints_.front()->detokenize(std::move(tokens));
}

ModelCard ModelPool::card() const {
  return {.name = name_, .source = fmt::format("{} endpoints", members_.size()), .has_chat_template = true};
}

/// Ready even while all are out: a request is answered by 503 with `Retry-After`, and may be the probe that
/// mends it.
EndpointStatus ModelPool::status() const { return {.state = EndpointStatus::State::kReady, .progress = 1}; }

LoadReport ModelPool::load() const {
  LoadReport sum;
  for (const auto& member : members_) {
    const LoadReport one = member->endpoint.load();
    sum.running += one.running;
    sum.waiting += one.waiting;
  }
  return sum;
}

std::vector<ModelPool::MemberView> ModelPool::members() const {
  std::vector<MemberView> views;
  for (std::size_t i = 0; i < members_.size(); ++i)
    views.push_back({*members_[i], breakers_[i]->state(), resumes(i)});
  return views;
}

bool ModelPool::set_enabled(std::string_view name, bool enabled) {
  bool found = false;
  for (const auto& member : members_) {
    if (member->name != name) continue;
    member->enabled.store(enabled);
    found = true;
  }
  return found;
}

Task<void> ModelPool::watch() {
  Scope scope;
  Random random = Random::from_entropy();
  for (std::size_t i = 0; i < members_.size(); ++i) scope.spawn(watch_member(i, Random(random())));
  co_await scope.join();
}

Task<void> ModelPool::watch_member(std::size_t index, Random random) {
  Member& member = *members_[index];
  const HealthConfig& health = config_.health;
  std::uint32_t in_a_row = 0;  // checks that contradict what we believe
  while (true) {
    const auto checked = co_await endpoints_[index]->check(health.path, health.timeout);
    const bool believed = member.healthy.load();
    in_a_row = checked.has_value() == believed ? 0 : in_a_row + 1;
    if (in_a_row >= (believed ? health.unhealthy_after : health.healthy_after)) {
      in_a_row = 0;
      member.healthy.store(!believed);
      dependencies_.log.warning(believed ? "endpoint is out" : "endpoint is back",
                                {{"model", name_},
                                 {"endpoint", member.name},
                                 {"error", checked ? std::string() : checked.error().message}});
    }
    if (checked && config_.balance == Balance::kLeastLoad) {
      const std::uint32_t in_flight = member.in_flight.load();
      if (co_await endpoints_[index]->scrape_load(health.timeout))
        member.in_flight_at_report.store(in_flight);
    }
    co_await sleep_for(
        std::chrono::duration_cast<Duration>(health.interval * (0.9 + 0.2 * random.uniform())));
  }
}

}  // namespace autoglm::gateway
