#include "engine/engine.h"

#include "base/redact.h"
#include "base/utf8.h"
#include "engine/chat_stream.h"

#include <fmt/format.h>
#include <pthread.h>

#include <ctime>
#include <utility>

namespace autoglm::engine {

namespace {

using State = EndpointStatus::State;

constexpr std::size_t kMostDetokenized = std::size_t{1} << 20U;

BlockingPool::Turn turn_of(const CallContext& context, PreparationTime takes) {
  return {.tenant = std::hash<std::string>()(context.tenant), .is_long = takes == PreparationTime::kLong};
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

Result<TokenizeResult> tokenized(const Backend& backend, const TokenizeRequest& request) {
  const bool is_chat = std::holds_alternative<ChatPrompt>(request.prompt);
  auto tokens = tokens_of(backend, request.prompt, request.add_special.value_or(!is_chat));
  if (!tokens) return fail(tokens.error());
  TokenizeResult result{.tokens = std::move(*tokens), .context_length = backend.facts().context_length};
  if (!request.with_texts) return result;
  for (const TokenId token : result.tokens) result.texts.emplace_back(backend.written(token));
  return result;
}

}  // namespace

Engine::Engine(std::string name, EngineConfig config, Dependencies dependencies)
    : name_(std::move(name)),
      config_(std::move(config)),
      created_(std::time(nullptr)),
      dependencies_(std::move(dependencies)),
      metrics_(dependencies_.metrics, name_, load_),
      // A request sends at most a submission, a cancellation and one wake-up that is not yet read.
      inbox_(
          std::make_shared<EngineInbox>(std::size_t{4} * (config_.max_sequences + config_.max_waiting) + 64)),
      thread_([this] { run(); }) {}

Engine::~Engine() {
  unwanted_.store(true);
  inbox_->mailbox.close();
  if (Backend* backend = inbox_->backend.load()) backend->abort.store(true);
  thread_.join();
  // Streams share the inbox and may outlive the backend, to which the unread messages refer.
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
  backend_ = std::move(*loaded);
  const BackendFacts& facts = backend_->facts();
  sampling_ = sampling_defaults(config_, facts);
  for (const std::string& remark : sampling_.remarks)
    dependencies_.log.warning("a sampling default is not heeded", {{"model", name_}, {"what", remark}});
  for (const std::string& note : facts.notes)
    dependencies_.log.warning("the model is not as one may expect", {{"model", name_}, {"what", note}});
  EngineWorker worker(*backend_, dependencies_.samplers,
                      {.max_sequences = facts.max_sequences,
                       .max_batch = facts.max_batch,
                       .tile_rows = facts.tile_rows,
                       .threads = {.least = config_.threads == 0 ? 1 : facts.threads, .most = facts.threads},
                       .max_stall = config_.max_stall,
                       .saved_tokens = facts.cell_bytes == 0 ? 0 : config_.saved_memory / facts.cell_bytes,
                       .kv = {.cells = facts.cache_cells,
                              .sequences = facts.sequence_ids,
                              .keep_prefixes = config_.prefix_cache && facts.shares_prefixes}},
                      *inbox_, load_, metrics_);
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
                                          {"seconds", to_seconds(std::chrono::steady_clock::now() - began)}});
  worker.run();
}

Result<std::shared_ptr<const Backend>> Engine::ready() const {
  switch (state_.load()) {
    case State::kReady:
      return backend_;
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

Task<Result<Preparation>> Engine::prepared(std::shared_ptr<const Backend> backend,
                                           InferenceRequestPtr request, const CallContext& context) {
  const auto& work = std::get<GenerateRequest>(request->work);
  const PreparationTime takes = time_of(work);
  if (takes == PreparationTime::kNone) co_return prepare(std::move(backend), work);
  // The job owns what it reads: the client may go away, and so may the model.
  auto made = co_await dependencies_.pool.run(
      [backend = std::move(backend), request = std::move(request)] {
        return prepare(backend, std::get<GenerateRequest>(request->work));
      },
      turn_of(context, takes));
  if (!made) co_return fail(made.error());
  co_return std::move(*made);
}

Result<Places> Engine::enter(const GenerateRequest& work) {
  const std::uint32_t limit = config_.max_sequences + config_.max_waiting;
  const std::uint32_t choices = work.choices();
  if (choices > limit) {
    return fail(invalid_field(
        work.prompts.size() > limit ? "prompt" : "n",
        fmt::format("{} prompts with {} choices each are {} answers; this model runs and queues {} at a time",
                    work.prompts.size(), work.n, choices, limit)));
  }
  if (inbox_->outstanding.fetch_add(choices) + choices <= limit) return Places(inbox_, choices);
  inbox_->outstanding.fetch_sub(choices);
  return fail(queue_full(limit));
}

Task<Result<std::unique_ptr<EventStream>>> Engine::generate(InferenceRequestPtr request,
                                                            const CallContext& context) {
  const auto arrived = std::chrono::steady_clock::now();
  const auto backend = ready();
  if (!backend) co_return fail(backend.error());
  const auto& work = std::get<GenerateRequest>(request->work);
  // Before any work: a request without a place need not be prepared.
  auto places = enter(work);
  if (!places) co_return fail(places.error());
  auto preparation = co_await prepared(*backend, request, context);
  if (!preparation) co_return fail(preparation.error());
  if (!places->add(preparation->bytes)) co_return fail(memory_full());

  const GenerationId id{next_generation_.fetch_add(1)};
  auto delivery = std::make_shared<Delivery>(EventLoop::current());
  const std::hash<std::string> hash;
  const bool sent =
      inbox_->mailbox.try_push(Submission{.id = id,
                                          .request = request,
                                          .sampling = with(sampling_.params, work.sampling),
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
                                          .salt = work.cache_salt.empty() ? 0 : hash(work.cache_salt)});
  if (!sent) co_return fail(queue_full(config_.max_sequences + config_.max_waiting));
  places->keep();
  std::unique_ptr<EventStream> stream = std::make_unique<DeliveryStream>(
      std::move(delivery),
      DeliveryStream::Hooks{.cancel = [inbox = inbox_, id] { inbox->cancel(id); },
                            .resume = [inbox = inbox_, id] { inbox->mailbox.try_push(WakeUp{id}); }});
  if (preparation->parsers.empty()) co_return stream;
  co_return std::make_unique<ChatStream>(std::move(stream), std::move(preparation->parsers), request->id);
}

Task<Result<TokenizeResult>> Engine::tokenize(TokenizeRequest request, const CallContext& context) {
  const auto backend = ready();
  if (!backend) co_return fail(backend.error());
  if (auto checked = check_text(request.prompt); !checked) co_return fail(checked.error());
  const BlockingPool::Turn turn = turn_of(context, time_of(request.prompt));
  auto result = co_await dependencies_.pool.run(
      [backend = *backend, job = std::move(request)] { return tokenized(*backend, job); }, turn);
  if (!result) co_return fail(result.error());
  co_return std::move(*result);
}

Task<Result<std::string>> Engine::detokenize(std::vector<TokenId> tokens) {
  const auto backend = ready();
  if (!backend) co_return fail(backend.error());
  if (tokens.size() > kMostDetokenized) {
    co_return fail(invalid_field(
        "tokens", fmt::format("tokens takes at most {} at a time, got {}", kMostDetokenized, tokens.size())));
  }
  const std::uint32_t vocabulary = (*backend)->facts().vocabulary_size;
  std::string bytes;
  for (const TokenId token : tokens) {
    if (token < 0 || static_cast<std::uint32_t>(token) >= vocabulary) {
      co_return fail(invalid_field("tokens", fmt::format("tokens has {}, but this model's tokens are 0 to {}",
                                                         token, vocabulary - 1)));
    }
    const std::string_view piece = (*backend)->piece(token);
    bytes += piece.empty() ? (*backend)->written(token) : piece;  // texts contain special tokens, too
  }
  std::string text;
  append_valid_utf8(text, bytes);
  co_return text;
}

Task<Result<std::string>> Engine::tokenizer_info() {
  const auto backend = ready();
  if (!backend) co_return fail(backend.error());
  co_return (*backend)->facts().tokenizer_info;
}

ModelCard Engine::card() const {
  ModelCard card{.name = name_, .source = without_secrets(config_.path), .created = created_};
  if (const auto backend = ready()) {
    card.context_length = (*backend)->facts().context_length;
    card.has_chat_template = (*backend)->facts().has_chat_template;
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
  const std::uint32_t places = inbox_->outstanding.load();
  if (places > report.running + report.waiting) report.waiting = places - report.running;
  return report;
}

std::shared_ptr<const PrefixSet> Engine::prefixes() const { return load_.prefixes.snapshot(); }

}  // namespace autoglm::engine
