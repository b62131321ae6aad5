#include "engine/engine.h"

#include "base/redact.h"
#include "base/utf8.h"
#include "engine/chat_stream.h"
#include "engine/embedding/embed_preparation.h"
#include "engine/embedding/embed_worker.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace autoglm::engine {

namespace {

using State = EndpointStatus::State;

constexpr std::size_t kMostDetokenized = std::size_t{1} << 20U;

BlockingPool::Turn turn_of(const CallContext& context, PreparationTime takes) {
  return {.tenant = std::hash<std::string>()(context.tenant), .is_long = takes == PreparationTime::kLong};
}

std::string group_of(const CallContext& context) {
  return context.caller ? context.caller->group : std::string();
}

Error queue_full(std::uint32_t limit) {
  return Error{.code = ErrorCode::kResourceExhausted,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = fmt::format(
                   "this model already has {} requests running and waiting; try again shortly", limit),
               .reason = "queue_full",
               .retry_after = std::chrono::seconds(1)};
}

Error memory_full() {
  return Error{.code = ErrorCode::kResourceExhausted,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = "this model's requests take as much memory as they may; try again shortly",
               .reason = "queue_full",
               .retry_after = std::chrono::seconds(1)};
}

/// Only endpoints that judge bodies themselves are sent such a request.
Error not_understood() {
  return Error{
      .code = ErrorCode::kUnimplemented,
      .retry = Retry::kElsewhere,
      .message = "an engine of this server cannot answer a request that only other servers understand"};
}

Error no_text() {
  return Error{.code = ErrorCode::kInvalidArgument,
               .origin = Origin::kClient,
               .message = "this model generates no text: it is for embeddings or for ranking documents",
               .reason = "wrong_task"};
}

Result<TokenizeResult> tokenized(const ModelView& model, const TokenizeRequest& request) {
  const bool is_chat = std::holds_alternative<ChatPrompt>(request.prompt);
  auto tokens = tokens_of(model, request.prompt, request.add_special.value_or(!is_chat));
  if (!tokens) return fail(tokens.error());
  TokenizeResult result{.tokens = std::move(*tokens), .context_length = model.context_length};
  if (!request.with_texts) return result;
  for (const TokenId token : result.tokens) result.texts.emplace_back(model.vocabulary->written(token));
  return result;
}

}  // namespace

Engine::Engine(std::string name, EngineConfig config, Dependencies dependencies)
    : name_(std::move(name)),
      config_(std::move(config)),
      created_(std::time(nullptr)),
      dependencies_(std::move(dependencies)),
      metrics_(dependencies_.metrics, name_, load_),
      inbox_(std::make_shared<EngineInbox>(config_.max_sequences + config_.max_waiting)),
      thread_([this] { run(); }) {}

Engine::~Engine() {
  unwanted_.store(true);
  inbox_->mailbox.close();
  inbox_->stop.set();
  thread_.join();
  // Streams share the inbox and may outlive the model, to which the unread messages refer.
  std::vector<EngineMessage> unread;
  inbox_->mailbox.take_all(unread);
}

void Engine::run() {
  pthread_setname_np(pthread_self(), "engine");
  const auto began = std::chrono::steady_clock::now();
  auto loaded = dependencies_.load([this](double share) {
    progress_.store(share, std::memory_order_relaxed);
    return !unwanted_.load();
  });
  if (!loaded) {
    if (unwanted_.load()) return;  // a stopped load is no failure
    dependencies_.log.error("model failed to load", {{"model", name_}, {"error", loaded.error().message}});
    const std::lock_guard lock(failure_mutex_);
    failure_ = loaded.error().message;
    state_.store(State::kFailed);
    return;
  }
  const Backend backend = std::move(*loaded);
  tokenizer_info_ = backend.facts.tokenizer_info;
  for (const std::string& note : backend.facts.notes)
    dependencies_.log.warning("the model is not as one may expect", {{"model", name_}, {"what", note}});
  loaded_in_ = std::chrono::steady_clock::now() - began;
  if (backend.embedder) {
    serve_embeddings(backend);
  } else {
    serve_text(backend);
  }
}

void Engine::serve_text(const Backend& backend) {
  const StepperFacts& facts = backend.stepper->facts();
  model_ = std::make_shared<const ModelView>(ModelView{.vocabulary = backend.vocabulary,
                                                       .chat = backend.chat,
                                                       .context_length = facts.context_length,
                                                       .max_sequences = facts.max_sequences});
  sampling_ = sampling_defaults(config_, backend.facts);
  for (const std::string& remark : sampling_.remarks)
    dependencies_.log.warning("a sampling default is not heeded", {{"model", name_}, {"what", remark}});
  EngineWorker worker(*backend.stepper, *backend.vocabulary, dependencies_.samplers,
                      {.max_sequences = facts.max_sequences,
                       .max_batch = facts.max_batch,
                       .tile_rows = facts.tile_rows,
                       .threads = {.least = config_.threads == 0 ? 1 : facts.threads, .most = facts.threads},
                       .max_stall = config_.max_stall,
                       .saved_tokens = facts.cell_bytes == 0 ? 0 : config_.saved_memory / facts.cell_bytes,
                       .kv = {.cells = facts.cache_cells,
                              .sequences = facts.sequence_ids,
                              .keep_prefixes = config_.prefix_cache && facts.shares_prefixes,
                              .restore_slack = facts.restore_slack}},
                      *inbox_, load_, metrics_, dependencies_.shares.get());
  progress_.store(1);
  state_.store(State::kReady);
  dependencies_.log.info("model loaded", {{"model", name_},
                                          {"path", without_secrets(config_.path)},
                                          {"context", facts.context_length},
                                          {"cache_tokens", facts.cache_cells},
                                          {"max_sequences", facts.max_sequences},
                                          {"threads", facts.threads},
                                          {"prefix_cache", config_.prefix_cache && facts.shares_prefixes},
                                          {"sampling", to_string(sampling_)},
                                          {"seconds", to_seconds(loaded_in_)}});
  worker.run();
}

void Engine::serve_embeddings(const Backend& backend) {
  const EmbedderFacts& facts = backend.embedder->facts();
  model_ = std::make_shared<const ModelView>(ModelView{.vocabulary = backend.vocabulary,
                                                       .chat = nullptr,
                                                       .context_length = facts.context_length,
                                                       .task = backend.task,
                                                       .outputs = facts.outputs,
                                                       .pairs = backend.pairs});
  EmbedWorker worker(*backend.embedder, facts.threads, config_.max_batch, *inbox_, load_, metrics_);
  progress_.store(1);
  state_.store(State::kReady);
  dependencies_.log.info("model loaded", {{"model", name_},
                                          {"path", without_secrets(config_.path)},
                                          {"task", to_string(backend.task)},
                                          {"context", facts.context_length},
                                          {"dimensions", facts.outputs},
                                          {"threads", facts.threads},
                                          {"seconds", to_seconds(loaded_in_)}});
  worker.run();
}

Result<std::shared_ptr<const ModelView>> Engine::ready() const {
  switch (state_.load()) {
    case State::kReady:
      return model_;
    case State::kFailed: {
      const std::lock_guard lock(failure_mutex_);
      return fail(load_failed(name_, failure_));
    }
    default:
      return fail(Error{.code = ErrorCode::kUnavailable,
                        .origin = Origin::kEndpoint,
                        .retry = Retry::kElsewhere,
                        .message = fmt::format("the model \"{}\" is loading ({:.0f} %); try again shortly",
                                               name_, 100 * progress_.load(std::memory_order_relaxed)),
                        .reason = "model_loading",
                        .retry_after = std::chrono::seconds(1)});
  }
}

Task<Result<Preparation>> Engine::prepared(std::shared_ptr<const ModelView> model,
                                           std::shared_ptr<const GenerateRequest> work,
                                           const CallContext& context) {
  const PreparationTime takes = time_of(*work);
  if (takes == PreparationTime::kNone) co_return prepare(std::move(model), *work);
  // The job owns what it reads: the client may go away, and so may the model.
  auto made = co_await dependencies_.pool.run(
      [model = std::move(model), work = std::move(work)] { return prepare(model, *work); },
      turn_of(context, takes));
  if (!made) co_return fail(made.error());
  co_return std::move(*made);
}

Result<Places> Engine::enter(const GenerateRequest& work, const CallContext& context) {
  const std::uint32_t limit = config_.max_sequences + config_.max_waiting;
  const std::uint32_t choices = work.choices();
  if (choices > limit) {
    return fail(invalid_field(
        work.prompts.size() > limit ? "prompt" : "n",
        fmt::format("{} prompts with {} choices each are {} answers; this model runs and queues {} at a time",
                    work.prompts.size(), work.n, choices, limit)));
  }
  return enter(choices, context);
}

Result<Places> Engine::enter(std::uint32_t count, const CallContext& context) {
  PlaceOwner owner{.group = group_of(context)};
  const auto shares = dependencies_.shares ? dependencies_.shares->get() : nullptr;
  if (shares && !owner.group.empty()) {
    const auto found = std::ranges::find(shares->groups, owner.group, &GroupShare::name);
    if (found != shares->groups.end()) owner.share = found->share;
  }
  auto places = Places::take(inbox_, std::move(owner), count);
  if (!places) return fail(queue_full(config_.max_sequences + config_.max_waiting));
  return std::move(*places);
}

std::unique_ptr<EventStream> Engine::stream_of(std::shared_ptr<Delivery> delivery, GenerationId id) {
  return std::make_unique<DeliveryStream>(
      std::move(delivery),
      DeliveryStream::Hooks{.cancel = [inbox = inbox_, id] { inbox->cancel(id); },
                            .resume = [inbox = inbox_, id] { inbox->mailbox.try_push(WakeUp{id}); }});
}

template <class Request>
Task<Result<std::unique_ptr<EventStream>>> Engine::embed(InferenceRequestPtr request, const Request& work,
                                                         const CallContext& context) {
  const auto arrived = std::chrono::steady_clock::now();
  auto places = enter(1, context);
  if (!places) co_return fail(places.error());
  const PreparationTime takes = time_of_text(text_bytes(work));
  Result<EmbedPreparation> preparation;
  if (takes == PreparationTime::kNone) {
    preparation = prepare(model_, work);
  } else {
    // The job owns what it reads: the client may go away, and so may the model.
    auto made = co_await dependencies_.pool.run(
        [model = model_, owner = request, &work] { return prepare(model, work); }, turn_of(context, takes));
    if (!made) co_return fail(made.error());
    preparation = std::move(*made);
  }
  if (!preparation) co_return fail(std::move(preparation).error());
  if (!places->add(preparation->bytes)) co_return fail(memory_full());
  const GenerationId id{next_generation_.fetch_add(1)};
  auto delivery = std::make_shared<Delivery>(EventLoop::current());
  const bool sent = inbox_->mailbox.try_push(EmbedSubmission{.id = id,
                                                             .preparation = std::move(*preparation),
                                                             .delivery = delivery,
                                                             .arrived = arrived,
                                                             .priority = context.priority,
                                                             .group = group_of(context)});
  if (!sent) co_return fail(queue_full(config_.max_sequences + config_.max_waiting));
  places->keep();
  co_return stream_of(std::move(delivery), id);
}

Task<Result<std::unique_ptr<EventStream>>> Engine::generate(InferenceRequestPtr request,
                                                            const CallContext& context) {
  const auto arrived = std::chrono::steady_clock::now();
  const auto model = ready();
  if (!model) co_return fail(model.error());
  if (const auto* embedding = std::get_if<EmbedRequest>(&request->work))
    co_return co_await embed(request, *embedding, context);
  if (const auto* scoring = std::get_if<ScoreRequest>(&request->work))
    co_return co_await embed(request, *scoring, context);
  if (request->generation() == nullptr) co_return fail(not_understood());
  if ((*model)->task != ModelTask::kGenerate) co_return fail(no_text());
  const std::shared_ptr<const GenerateRequest> work(request, request->generation());
  // Before any work: a request without a place need not be prepared.
  auto places = enter(*work, context);
  if (!places) co_return fail(places.error());
  auto preparation = co_await prepared(*model, work, context);
  if (!preparation) co_return fail(preparation.error());
  if (!places->add(preparation->bytes)) co_return fail(memory_full());

  const GenerationId id{next_generation_.fetch_add(1)};
  auto delivery = std::make_shared<Delivery>(EventLoop::current());
  const std::hash<std::string> hash;
  const bool sent =
      inbox_->mailbox.try_push(Submission{.id = id,
                                          .work = work,
                                          .sampling = with(sampling_.params, work->sampling),
                                          .prompts = std::move(preparation->prompts),
                                          .banned = std::move(preparation->banned),
                                          .choices = std::move(preparation->choices),
                                          .constraint = std::move(preparation->constraint),
                                          .landmarks = std::move(preparation->landmarks),
                                          .bytes = preparation->bytes,
                                          .delivery = delivery,
                                          .arrived = arrived,
                                          .deadline = context.deadline.at(),
                                          .priority = context.priority,
                                          .tenant = hash(context.tenant),
                                          .group = group_of(context),
                                          .salt = work->cache_salt.empty() ? 0 : hash(work->cache_salt)});
  if (!sent) co_return fail(queue_full(config_.max_sequences + config_.max_waiting));
  places->keep();
  std::unique_ptr<EventStream> stream = stream_of(std::move(delivery), id);
  if (preparation->parsers.empty()) co_return stream;
  co_return std::make_unique<ChatStream>(std::move(stream), std::move(preparation->parsers), request->id);
}

Task<Result<UnaryAnswer>> Engine::call(UnaryRequest request, const CallContext& context) {
  return std::visit([&](auto&& of_kind) { return answer(std::move(of_kind), context); }, std::move(request));
}

Task<Result<UnaryAnswer>> Engine::answer(TokenizeRequest request, const CallContext& context) {
  const auto model = ready();
  if (!model) co_return fail(model.error());
  if (auto checked = check_text(request.prompt); !checked) co_return fail(checked.error());
  const BlockingPool::Turn turn = turn_of(context, time_of(request.prompt));
  auto result = co_await dependencies_.pool.run(
      [model = *model, job = std::move(request)] { return tokenized(*model, job); }, turn);
  if (!result) co_return fail(result.error());
  if (!*result) co_return fail(std::move(*result).error());
  co_return std::move(**result);
}

Task<Result<UnaryAnswer>> Engine::answer(DetokenizeRequest request, const CallContext& /*context*/) {
  const std::vector<TokenId>& tokens = request.tokens;
  const auto model = ready();
  if (!model) co_return fail(model.error());
  if (tokens.size() > kMostDetokenized) {
    co_return fail(invalid_field(
        "tokens", fmt::format("tokens takes at most {} at a time, got {}", kMostDetokenized, tokens.size())));
  }
  const Vocabulary& vocabulary = *(*model)->vocabulary;
  const std::uint32_t size = vocabulary.facts().size;
  std::string bytes;
  for (const TokenId token : tokens) {
    if (token < 0 || static_cast<std::uint32_t>(token) >= size) {
      co_return fail(invalid_field(
          "tokens", fmt::format("tokens has {}, but this model's tokens are 0 to {}", token, size - 1)));
    }
    const std::string_view piece = vocabulary.piece(token);
    bytes += piece.empty() ? vocabulary.written(token) : piece;  // texts contain special tokens, too
  }
  DetokenizeResult result;
  append_valid_utf8(result.text, bytes);
  co_return result;
}

Task<Result<UnaryAnswer>> Engine::answer(TokenizerInfoRequest /*request*/, const CallContext& /*context*/) {
  const auto model = ready();
  if (!model) co_return fail(model.error());
  co_return TokenizerInfo{tokenizer_info_};
}

ModelCard Engine::card() const {
  ModelCard card{.name = name_, .source = without_secrets(config_.path), .created = created_};
  if (const auto model = ready()) {
    card.context_length = (*model)->context_length;
    card.has_chat_template = (*model)->chat != nullptr;
    card.task = (*model)->task;
    if (card.task != ModelTask::kGenerate) return card;
    card.sampling = explain(sampling_.layers);
    card.system_message = default_system_message(config_);
  }
  return card;
}

EndpointStatus Engine::status() const {
  EndpointStatus status{.state = state_.load(), .progress = progress_.load(std::memory_order_relaxed)};
  if (status.state == State::kFailed) {
    const std::lock_guard lock(failure_mutex_);
    status.detail = failure_;
  }
  return status;
}

LoadReport Engine::load() const {
  LoadReport report = load_.report(config_.max_sequences, config_.max_waiting);
  // Requests that the engine's thread has not seen yet are waiting, too.
  const std::uint32_t places = inbox_->pool.places();
  if (places > report.running + report.waiting) report.waiting = places - report.running;
  return report;
}

std::shared_ptr<const PrefixSet> Engine::prefixes() const { return load_.prefixes.snapshot(); }

}  // namespace autoglm::engine
