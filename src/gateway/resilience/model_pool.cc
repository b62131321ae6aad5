#include "gateway/resilience/model_pool.h"

#include "gateway/resilience/pooled_stream.h"
#include "gateway/resilience/stand_in.h"
#include "runtime/race.h"
#include "runtime/scope.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

namespace {

HttpEndpointOptions options_of(const EndpointConfig& endpoint, const PoolConfig& config) {
  return {.url = *api_url(endpoint),
          .api_key = endpoint.api_key,
          .model = endpoint.model,
          .headers = {endpoint.headers.begin(), endpoint.headers.end()},
          .tls = nullptr,
          .tls_name = endpoint.tls.server_name,
          .connect_timeout = config.timeouts.connect,
          .reuse_time = config.timeouts.reuse,
          .continue_text = config.continue_text};
}

cluster::CheckResult result_of(const Result<void>& checked) {
  if (checked) return cluster::CheckResult::kWell;
  return checked.error().reason == "connect_failed" ? cluster::CheckResult::kAbsent
                                                    : cluster::CheckResult::kUnwell;
}

}  // namespace

ModelPool::ModelPool(std::string name, PoolConfig config, Dependencies dependencies)
    : name_(std::move(name)),
      config_(std::move(config)),
      dependencies_(std::move(dependencies)),
      first_token_timeout_(config_.timeouts.first_token.value_or(dependencies_.request_timeout)),
      idle_timeout_(config_.timeouts.idle.value_or(dependencies_.request_timeout)),
      whole_timeout_(config_.timeouts.total.value_or(dependencies_.request_timeout)),
      metrics_(dependencies_.metrics, name_) {}

ModelPool::~ModelPool() = default;

Result<std::unique_ptr<ModelPool>> ModelPool::create(std::string name, PoolConfig config,
                                                     Dependencies dependencies) {
  std::unique_ptr<ModelPool> pool(new ModelPool(std::move(name), std::move(config), std::move(dependencies)));
  if (auto made = pool->make_endpoints(); !made) return fail(made.error());
  return pool;
}

Result<void> ModelPool::make_endpoints() {
  std::vector<Endpoint*> endpoints;
  std::vector<std::shared_ptr<EndpointRecord>> records;
  for (const EndpointConfig& endpoint : config_.endpoints) {
    HttpEndpointOptions options = options_of(endpoint, config_);
    if (endpoint.tls != EndpointTlsConfig()) {
      auto tls = TlsClientContext::create({.ca_file = endpoint.tls.ca,
                                           .certificate_file = endpoint.tls.certificate,
                                           .key_file = endpoint.tls.key,
                                           .verify = endpoint.tls.verify});
      if (!tls) return fail(tls.error());
      options.tls = std::move(*tls);
    }
    const std::string url = options.url.origin() + options.url.target;
    // Without its query, which may hold a key.
    std::string shown = options.url.authority();
    const auto same = [&](const auto& record) { return record->state.name == shown; };
    if (std::ranges::any_of(records, same)) shown += options.url.path();
    if (std::ranges::any_of(records, same)) shown += fmt::format("#{}", records.size() + 1);
    records.push_back(dependencies_.records.of(url, shown, config_.breaker));
    options.kind = records.back()->kind;
    endpoints_.push_back(std::make_unique<HttpEndpoint>(std::move(options), dependencies_.clients));
    endpoints.push_back(endpoints_.back().get());
  }
  last_checks_.resize(endpoints_.size());
  dispatcher_ = std::make_unique<Dispatcher>(
      name_,
      Dispatcher::Surroundings{
          .config = config_, .metrics = metrics_, .clock = clock_, .log = &dependencies_.log},
      endpoints, std::move(records), dependencies_.records.line());
  Random random = Random::from_entropy();
  for (std::size_t i = 0; i < dependencies_.loops; ++i)
    loops_.push_back({.balancer = dependencies_.balancer(random()), .random = Random(random())});
  return {};
}

Task<Result<Opened>> ModelPool::open_at(std::size_t member, InferenceRequestPtr request,
                                        CallContext context) {
  auto stream = co_await endpoints_[member]->generate(std::move(request), context);
  if (!stream) co_return fail(stream.error());
  auto first = co_await (*stream)->next();
  if (!first) co_return fail(first.error());
  co_return Opened{.stream = std::move(*stream), .first = std::move(*first)};
}

/// Joins the line, looks again, and waits only while there is no place.
Task<Result<Dispatch::Step>> ModelPool::wait_for_place(Dispatch& dispatch, Deadline deadline,
                                                       std::uint64_t& number) {
  auto ticket = dispatcher_->endpoints().line().join(number);
  if (!ticket) co_return fail(ticket.error());
  if (!ticket->must_wait()) {
    auto step = dispatch.next(loop_time());
    if (!std::holds_alternative<Dispatch::Full>(step)) co_return step;
  }
  while (co_await ticket->wait(deadline)) {
    auto step = dispatch.next(loop_time());
    if (std::holds_alternative<Ask>(step)) ticket->took_it();
    if (!std::holds_alternative<Dispatch::Full>(step)) co_return step;
    ticket->wait_again();
  }
  co_return fail(
      Error{.code = ErrorCode::kUnavailable,
            .retry = Retry::kElsewhere,
            .message = fmt::format("no endpoint of \"{}\" had a place in time; try again shortly", name_),
            .reason = "queue_timeout",
            .retry_after = std::chrono::seconds(1)});
}

Task<Result<Opened>> ModelPool::open(InferenceRequestPtr request, const CallContext& context,
                                     Dispatch& dispatch) {
  const auto open = [&](std::size_t member) { return open_at(member, request, context); };
  Attempt attempt(dispatch, open);
  // A little early, since the timer that ends the call began to count before this one.
  const Deadline whole_due = Deadline::after(whole_timeout_ - whole_timeout_ / 50);
  const Deadline place_deadline = earlier(Deadline::after(config_.queue.timeout), context.deadline);
  const bool others_first = dispatcher_->endpoints().line().telling();
  Dispatch::Step step = others_first ? Dispatch::Full{} : dispatch.next(loop_time());
  std::uint64_t number = 0;
  while (true) {
    if (auto* error = std::get_if<Error>(&step)) co_return fail(std::move(*error));
    if (std::holds_alternative<Dispatch::Full>(step)) {
      auto after = co_await wait_for_place(dispatch, place_deadline, number);
      if (!after) co_return fail(after.error());
      step = std::move(*after);
      continue;
    }
    if (const auto* pause = std::get_if<Dispatch::Pause>(&step)) {
      co_await sleep_until(std::min(pause->until, context.deadline.at()));
    } else {
      auto opened = co_await attempt.run(std::move(std::get<Ask>(step)),
                                         limits(request->wire.stream, whole_due, context));
      if (opened || context.deadline.passed()) co_return opened;
    }
    step = dispatch.next(loop_time());
  }
}

/// Only a stream shows by its first token that it is being computed; a whole answer arrives when it is done.
Attempt::Limits ModelPool::limits(bool streamed, Deadline whole_due, const CallContext& context) {
  if (streamed) {
    const Deadline due = Deadline::after(first_token_timeout_);
    return {.due = due, .patience = earlier(due, context.deadline), .hedge_after = hedge_after()};
  }
  // An endpoint that is asked when most of the request's time is over is not to blame for its end.
  const bool has_time = whole_due.remaining(loop_time()) >= whole_timeout_ / 2;
  return {.due = has_time ? whole_due : Deadline::never(), .patience = context.deadline, .hedge_after = {}};
}

/// How long the first endpoint may be silent before a second one is asked, too.
std::optional<Duration> ModelPool::hedge_after() {
  if (config_.hedge.percentile == 0 || endpoints_.size() < 2) return std::nullopt;
  const auto learnt = loop().first_tokens.at(config_.hedge.percentile);
  return learnt ? std::optional(std::max(*learnt, config_.hedge.min_delay)) : std::nullopt;
}

Task<Result<std::unique_ptr<EventStream>>> ModelPool::generate(InferenceRequestPtr request,
                                                               const CallContext& context) {
  auto dispatch = std::make_unique<Dispatch>(*dispatcher_, loop(), *request);
  auto opened = co_await open(request, context, *dispatch);
  if (opened) {
    co_return std::make_unique<PooledStream>(*this, std::move(request), context, std::move(dispatch),
                                             std::move(*opened));
  }
  if (opened.error().retry != Retry::kElsewhere) co_return fail(opened.error());
  co_return co_await fall_back(std::move(request), context, std::move(opened.error()));
}

/// Another model's answer; else the configured one; else the error.
Task<Result<std::unique_ptr<EventStream>>> ModelPool::fall_back(InferenceRequestPtr request,
                                                                const CallContext& context, Error error) {
  const auto note = [&](std::string_view with) {
    dependencies_.log.warning(
        "something else answers",
        {{"model", name_}, {"fallback", with}, {"request_id", request->id}, {"error", error.log_message()}});
  };
  for (const std::string& name : config_.fallback) {
    std::shared_ptr<Endpoint> endpoint = dependencies_.find_model(name);
    if (endpoint == nullptr) continue;
    const WireBody& wire = request->wire;
    const bool known = wire.protocol != WireBody::Protocol::kPassed;
    if (wire.opaque && !(known && endpoint->judges_bodies())) continue;
    auto copy = std::make_shared<InferenceRequest>(*request);
    copy->model = name;
    copy->wire.names_model = false;
    auto stream = co_await endpoint->generate(std::move(copy), context);
    if (!stream) continue;
    metrics_.fallbacks.add();
    note(name);
    co_return fallback_answer(name, std::move(endpoint), std::move(*stream));
  }
  if (config_.static_answer.empty() || request->wire.protocol == WireBody::Protocol::kPassed)
    co_return fail(std::move(error));
  metrics_.static_answers.add();
  note("static");
  co_return static_answer(config_.static_answer, std::get<GenerateRequest>(request->work).choices());
}

Task<Result<TokenizeResult>> ModelPool::tokenize(TokenizeRequest request, const CallContext& context) {
  return endpoints_.front()->tokenize(std::move(request), context);
}

Task<Result<std::string>> ModelPool::detokenize(std::vector<TokenId> tokens) {
  return endpoints_.front()->detokenize(std::move(tokens));
}

/// A path of `pass`, or something below it; never a way back up.
bool ModelPool::passes(std::string_view path) const {
  // Servers written in Java read "..;x" as "..".
  const bool strange = path.find_first_of("%\\;") != std::string_view::npos ||
                       ("/" + std::string(path) + "/").find("/../") != std::string::npos ||
                       ("/" + std::string(path) + "/").find("/./") != std::string::npos ||
                       path.find("//") != std::string_view::npos;
  return !strange && std::ranges::any_of(config_.pass, [path](const std::string& begin) {
    return path.starts_with(begin) && (path.size() == begin.size() || path[begin.size()] == '/');
  });
}

ModelCard ModelPool::card() const {
  return {.name = name_, .source = fmt::format("{} endpoints", endpoints_.size()), .has_chat_template = true};
}

/// Ready even while all endpoints are out: a request gets 503 with `Retry-After`, or is the probe that closes
/// a breaker.
EndpointStatus ModelPool::status() const { return {.state = EndpointStatus::State::kReady, .progress = 1}; }

LoadReport ModelPool::load() const {
  LoadReport sum;
  for (const auto& endpoint : endpoints_) {
    const LoadReport one = endpoint->load();
    sum.running += one.running;
    sum.waiting += one.waiting;
  }
  return sum;
}

std::vector<ModelPool::MemberView> ModelPool::members() const {
  std::vector<MemberView> views;
  const EndpointSet& set = dispatcher_->endpoints();
  const auto now = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const auto& health = set.members()[i].state->health;
    views.push_back({.member = set.members()[i],
                     .breaker = set.breaker(i).state(),
                     .kind = endpoints_[i]->kind(),
                     .ejected_for = health.ejected(now) ? health.ejected_until() - now : Duration::zero(),
                     .last_check = last_checks_[i]});
  }
  return views;
}

bool ModelPool::set_enabled(std::string_view name, bool enabled) {
  return dispatcher_->endpoints().set_enabled(name, enabled);
}

Task<void> ModelPool::watch() {
  Scope scope;
  Random random = Random::from_entropy();
  for (std::size_t i = 0; i < endpoints_.size(); ++i) scope.spawn(watch_member(i, Random(random())));
  co_await scope.join();
}

Task<void> ModelPool::watch_member(std::size_t index, Random random) {
  HttpEndpoint& endpoint = *endpoints_[index];
  EndpointSet& set = dispatcher_->endpoints();
  MemberState& state = *set.members()[index].state;
  const cluster::HealthConfig& health = config_.health;
  bool told_of_path = false;
  // Spreads the checks: a few endpoints begin at once, ten thousand within ten seconds.
  co_await sleep_for(std::chrono::milliseconds(index));
  while (true) {
    const Result<void> checked = co_await endpoint.check(health.path, health.timeout);
    last_checks_[index] = checked;
    const bool told = checked || checked.error().origin != Origin::kLocal;
    if (told && set.checked(index, result_of(checked), std::chrono::steady_clock::now())) {
      dependencies_.log.warning(state.health.well() ? "endpoint is back" : "endpoint is out",
                                {{"model", name_},
                                 {"endpoint", state.name},
                                 {"error", checked ? std::string() : checked.error().log_message()}});
    }
    if (!checked && checked.error().code == ErrorCode::kNotFound && !std::exchange(told_of_path, true)) {
      dependencies_.log.warning(
          "the health path answers 404; configure one that the endpoint has, or \"\": a connection is enough "
          "then",
          {{"model", name_}, {"endpoint", state.name}, {"key", "health.path"}, {"path", health.path}});
    }
    const bool needs_load =
        config_.balance == Balance::kLeastLoad || config_.balance == Balance::kPrefixAffinity;
    if (checked && needs_load) {
      const std::uint32_t in_flight = state.in_flight.load();
      if (co_await endpoint.scrape_load(health.timeout)) {
        const LoadReport load = endpoint.load();
        state.reported.store(load.running + load.waiting);
        state.in_flight_at_report.store(in_flight);
      }
    }
    co_await sleep_for(
        std::chrono::duration_cast<Duration>(health.interval * (0.9 + 0.2 * random.uniform())));
  }
}

}  // namespace autoglm::gateway
