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

PoolConfig without_endpoints(PoolConfig config) {
  config.endpoints.clear();
  config.endpoints.shrink_to_fit();
  return config;
}

bool asks_load(Balance balance) {
  return balance == Balance::kLeastLoad || balance == Balance::kPrefixAffinity;
}

Error no_members(const std::string& model) {
  return Error{.code = ErrorCode::kUnavailable,
               .retry = Retry::kElsewhere,
               .message = fmt::format("\"{}\" has no endpoint now; try again shortly", model),
               .reason = "no_endpoint",
               .retry_after = std::chrono::seconds(1)};
}

/// Whether text is an answer to it, as far as its path says.
bool wants_text(const InferenceRequest& request) {
  if (request.opaque() == nullptr) return request.generation() != nullptr;
  using enum WireBody::Protocol;
  const auto protocol = request.wire.protocol;
  return protocol != kPassed && protocol != kEmbeddings && protocol != kRerank && protocol != kScore;
}

}  // namespace

HttpEndpointSettings endpoint_settings(const PoolConfig& config) {
  return {.connect_timeout = config.timeouts.connect,
          .reuse_time = config.timeouts.reuse,
          .continue_text = config.continue_text};
}

ModelPool::ModelPool(std::string name, PoolConfig config, Dependencies dependencies)
    : name_(std::move(name)),
      config_(without_endpoints(std::move(config))),
      dependencies_(std::move(dependencies)),
      first_token_timeout_(config_.timeouts.first_token.value_or(dependencies_.request_timeout)),
      idle_timeout_(config_.timeouts.idle.value_or(dependencies_.request_timeout)),
      whole_timeout_(config_.timeouts.total.value_or(dependencies_.request_timeout)),
      metrics_(dependencies_.metrics, name_),
      roster_(config_, dependencies_.records, *dependencies_.factory),
      watch_({.model = name_, .health = config_.health, .asks_load = asks_load(config_.balance)},
             dependencies_.log),
      dispatcher_(name_,
                  Dispatcher::Surroundings{
                      .config = config_, .metrics = metrics_, .clock = clock_, .log = &dependencies_.log},
                  dependencies_.records.line()) {
  Random random = Random::from_entropy();
  for (std::size_t i = 0; i < dependencies_.loops; ++i)
    loops_.push_back({.balancer = dependencies_.balancer(random()), .random = Random(random())});
}

ModelPool::~ModelPool() = default;

Result<std::unique_ptr<ModelPool>> ModelPool::create(std::string name, PoolConfig config,
                                                     Dependencies dependencies) {
  const cluster::Membership first = cluster::membership_of(config.endpoints);
  std::unique_ptr<ModelPool> pool(new ModelPool(std::move(name), std::move(config), std::move(dependencies)));
  if (auto applied = pool->apply(first); !applied) return fail(applied.error());
  return pool;
}

Result<void> ModelPool::apply(const cluster::Membership& membership) {
  auto change = prepare(membership);
  if (!change) return fail(change.error());
  adopt(std::move(*change));
  return {};
}

void ModelPool::adopt(Roster::Change change) {
  if (change.list == nullptr) return;
  retired_.push_back(roster_.list());
  roster_.adopt(change, std::chrono::steady_clock::now());
  for (auto& member : change.removed) {
    watch_.remove(member->record->state);
    retired_.push_back(std::move(member));
  }
  Duration delay = Duration::zero();
  for (const auto& member : change.added) {
    member->record->breaker.configure(config_.breaker);
    begin_checks(*member, delay);
    delay += std::chrono::milliseconds(1);
  }
  dispatcher_.endpoints().set(std::move(change.list));
}

void ModelPool::begin_checks(const PoolMember& member, Duration delay) {
  EndpointRecord& record = *member.record;
  watch_.add({.state = {member.record, &record.state},
              .endpoint = member.made.endpoint,
              .checks = member.made.checks,
              .take =
                  [this, &record](cluster::CheckResult result, MonotonicTime now) {
                    return dispatcher_.endpoints().checked(record, result, now);
                  }},
             delay);
}

void ModelPool::sweep() {
  // Again when a list went, since it may have been what used a member.
  while (std::erase_if(retired_, [](const auto& each) { return each.use_count() == 1; }) > 0) {
  }
}

Task<Result<Opened>> ModelPool::open_at(const PoolMember& member, InferenceRequestPtr request,
                                        CallContext context) {
  auto stream = co_await member.endpoint().generate(std::move(request), context);
  if (!stream) co_return fail(stream.error());
  auto first = co_await (*stream)->next();
  if (!first) co_return fail(first.error());
  co_return Opened{.stream = std::move(*stream), .first = std::move(*first)};
}

/// Joins the line, looks again, and waits only while there is no place.
Task<Result<Dispatch::Step>> ModelPool::wait_for_place(Dispatch& dispatch, Deadline deadline,
                                                       std::uint64_t& number) {
  auto ticket = dispatcher_.endpoints().line().join(number);
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
  const auto open = [&](const PoolMember& member) { return open_at(member, request, context); };
  Opening opening(dispatch, open);
  // A little early, since the timer that ends the call began to count before this one.
  const Deadline whole_due = Deadline::after(whole_timeout_ - whole_timeout_ / 50);
  const Deadline place_deadline = earlier(Deadline::after(config_.queue.timeout), context.deadline);
  const bool others_first = dispatcher_.endpoints().line().telling();
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
      auto opened = co_await opening.run(std::move(std::get<Ask>(step)),
                                         limits(request->wire.stream, whole_due, context));
      if (opened || context.deadline.passed()) co_return opened;
    }
    step = dispatch.next(loop_time());
  }
}

/// Only a stream shows by its first token that it is being computed; a whole answer arrives when it is done.
Opening::Limits ModelPool::limits(bool streamed, Deadline whole_due, const CallContext& context) {
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
  if (config_.hedge.percentile == 0 || loop().outlook.list->size() < 2) return std::nullopt;
  const auto learnt = loop().first_tokens.at(config_.hedge.percentile);
  return learnt ? std::optional(std::max(*learnt, config_.hedge.min_delay)) : std::nullopt;
}

Task<Result<std::unique_ptr<EventStream>>> ModelPool::generate(InferenceRequestPtr request,
                                                               const CallContext& context) {
  auto dispatch = std::make_unique<Dispatch>(dispatcher_, loop(), *request);
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
  const bool passed = request->wire.protocol == WireBody::Protocol::kPassed;
  for (const std::string& name : config_.fallback) {
    std::shared_ptr<Endpoint> endpoint = dependencies_.find_model(name);
    if (endpoint == nullptr) continue;
    if (request->opaque() != nullptr && (passed || !endpoint->judges_bodies())) continue;
    auto copy = std::make_shared<InferenceRequest>(*request);
    copy->model = name;
    copy->wire.names_model = false;
    auto stream = co_await endpoint->generate(std::move(copy), context);
    if (!stream) continue;
    metrics_.fallbacks.add();
    note(name);
    co_return fallback_answer(name, std::move(endpoint), std::move(*stream));
  }
  if (config_.static_answer.empty() || !wants_text(*request)) co_return fail(std::move(error));
  metrics_.static_answers.add();
  note("static");
  const GenerateRequest* work = request->generation();
  co_return static_answer(config_.static_answer, work == nullptr ? 1 : work->choices());
}

Task<Result<UnaryAnswer>> ModelPool::call(UnaryRequest request, const CallContext& context) {
  const auto list = dispatcher_.endpoints().list();
  if (list->order.empty()) co_return fail(no_members(name_));
  const auto member = list->shared(list->order.front());
  co_return co_await member->endpoint().call(std::move(request), context);
}

/// Whether some member takes the bodies of OpenAI's clients as they are. A pool without members has an error
/// of its own to say.
bool ModelPool::judges_bodies() const {
  const auto list = dispatcher_.endpoints().list();
  return list->order.empty() || std::ranges::any_of(list->order, [&](std::uint32_t slot) {
           return list->members[slot].endpoint->judges_bodies();
         });
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
  const std::size_t count = dispatcher_.endpoints().list()->size();
  return {.name = name_, .source = fmt::format("{} endpoints", count), .has_chat_template = true};
}

/// Ready even while all endpoints are out: a request gets 503 with `Retry-After`, or is the probe that closes
/// a breaker.
EndpointStatus ModelPool::status() const {
  if (awaits_members_.load(std::memory_order_relaxed) && dispatcher_.endpoints().list()->size() == 0)
    return {.state = EndpointStatus::State::kLoading, .progress = 0};
  return {.state = EndpointStatus::State::kReady, .progress = 1};
}

LoadReport ModelPool::load() const {
  LoadReport sum;
  const auto list = dispatcher_.endpoints().list();
  for (const std::uint32_t slot : list->order) {
    const LoadReport one = list->members[slot].endpoint->load();
    sum.running += one.running;
    sum.waiting += one.waiting;
  }
  return sum;
}

std::unordered_set<std::string> ModelPool::well() const {
  std::unordered_set<std::string> urls;
  const MemberList& list = *roster_.list();
  for (const std::uint32_t slot : list.order)
    if (list.members[slot].state->health.well()) urls.insert(list.owners[slot].member->spec->url);
  return urls;
}

std::vector<ModelPool::MemberView> ModelPool::members() const {
  std::vector<MemberView> views;
  const MemberList& list = *roster_.list();
  const auto now = std::chrono::steady_clock::now();
  for (const std::uint32_t slot : list.order) {
    const Member& member = list.members[slot];
    const auto& health = member.state->health;
    views.push_back({.member = member,
                     .spec = *list.owners[slot].member->spec,
                     .breaker = list.owners[slot].record->breaker.state(),
                     .kind = list.owners[slot].record->kind->load(std::memory_order_relaxed),
                     .ejected_for = health.ejected(now) ? health.ejected_until() - now : Duration::zero(),
                     .last_check = watch_.last_check(*member.state)});
  }
  return views;
}

bool ModelPool::set_enabled(std::string_view name, bool enabled) {
  return dispatcher_.endpoints().set_enabled(name, enabled);
}

}  // namespace autoglm::gateway
