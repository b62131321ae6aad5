#include "engine/engine.h"

#include "base/utf8.h"
#include "engine/chat_stream.h"

#include <fmt/format.h>
#include <pthread.h>

#include <ctime>
#include <utility>

namespace autoglm::engine {

namespace {

using State = EndpointStatus::State;

Error queue_full(std::uint32_t limit) {
  return Error{.code = ErrorCode::kResourceExhausted,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = fmt::format(
                   "this model already has {} requests running and waiting; try again shortly", limit),
               .reason = "queue_full",
               .retry_after = std::chrono::seconds(1)};
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
}

void Engine::run() {
  pthread_setname_np(pthread_self(), "engine");
  const auto began = std::chrono::steady_clock::now();
  auto loaded = dependencies_.load([this](double share) {
    progress_.store(share, std::memory_order_relaxed);
    return !unwanted_.load();
  });
  if (!loaded) {
    if (unwanted_.load()) return;  // that is why
    dependencies_.log.error("model failed to load", {{"model", name_}, {"error", loaded.error().message}});
    const std::lock_guard lock(failure_mutex_);
    failure_ = loaded.error().message;
    state_.store(State::kFailed);
    return;
  }
  backend_ = std::move(*loaded);
  const BackendFacts& facts = backend_->facts();
  EngineWorker worker(*backend_, dependencies_.samplers,
                      {.max_sequences = facts.max_sequences,
                       .max_batch = facts.max_batch,
                       .tile_rows = facts.tile_rows,
                       .max_stall = config_.max_stall,
                       .saved_tokens = facts.cell_bytes == 0 ? 0 : config_.saved_memory / facts.cell_bytes,
                       .kv = {.cells = facts.cache_cells,
                              .sequences = facts.sequence_ids,
                              .keep_prefixes = config_.prefix_cache && facts.shares_prefixes}},
                      *inbox_, load_, metrics_);
  progress_.store(1);
  state_.store(State::kReady);
  dependencies_.log.info("model loaded", {{"model", name_},
                                          {"path", config_.path},
                                          {"context", facts.context_length},
                                          {"cache_tokens", facts.cache_cells},
                                          {"max_sequences", facts.max_sequences},
                                          {"prefix_cache", config_.prefix_cache && facts.shares_prefixes},
                                          {"seconds", to_seconds(std::chrono::steady_clock::now() - began)}});
  worker.run();
}

Result<Backend*> Engine::ready() const {
  switch (state_.load()) {
    case State::kReady:
      return backend_.get();
    case State::kFailed: {
      const std::lock_guard lock(failure_mutex_);
      return fail(Error{.code = ErrorCode::kUnavailable,
                        .origin = Origin::kEndpoint,
                        .retry = Retry::kElsewhere,
                        .message = fmt::format("the model \"{}\" could not be loaded: {}", name_, failure_),
                        .reason = "model_failed"});
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

Task<Result<Preparation>> Engine::prepared(const Backend& backend, InferenceRequestPtr request) {
  const auto& work = std::get<GenerateRequest>(request->work);
  if (is_quick(work)) co_return prepare(backend, work);
  // Owns what it reads: a client that goes away destroys this task, and not the job on the pool.
  auto made = co_await dependencies_.pool.run([&backend, request = std::move(request)] {
    return prepare(backend, std::get<GenerateRequest>(request->work));
  });
  if (!made) co_return fail(made.error());
  co_return std::move(*made);
}

Result<void> Engine::enter(std::uint32_t requests) {
  const std::uint32_t limit = config_.max_sequences + config_.max_waiting;
  if (requests > limit) {
    return fail(invalid_field(
        "prompt",
        fmt::format("prompt has {} prompts; this model runs and queues {} at a time", requests, limit)));
  }
  if (inbox_->outstanding.fetch_add(requests) + requests <= limit) return {};
  inbox_->outstanding.fetch_sub(requests);
  return fail(queue_full(limit));
}

Task<Result<std::unique_ptr<EventStream>>> Engine::generate(InferenceRequestPtr request,
                                                            const CallContext& context) {
  const auto arrived = std::chrono::steady_clock::now();
  const auto backend = ready();
  if (!backend) co_return fail(backend.error());
  auto preparation = co_await prepared(**backend, request);
  if (!preparation) co_return fail(preparation.error());
  const auto& work = std::get<GenerateRequest>(request->work);
  const auto prompts = static_cast<std::uint32_t>(work.prompts.size());
  if (auto entered = enter(prompts); !entered) co_return fail(entered.error());

  const GenerationId id{next_generation_.fetch_add(1)};
  auto delivery = std::make_shared<Delivery>(EventLoop::current());
  const std::hash<std::string> hash;
  const bool sent =
      inbox_->mailbox.try_push(Submission{.id = id,
                                          .request = request,
                                          .prompts = std::move(preparation->prompts),
                                          .choices = std::move(preparation->choices),
                                          .landmarks = std::move(preparation->landmarks),
                                          .delivery = delivery,
                                          .arrived = arrived,
                                          .deadline = context.deadline.at(),
                                          .priority = context.priority,
                                          .tenant = hash(context.tenant),
                                          .salt = work.cache_salt.empty() ? 0 : hash(work.cache_salt)});
  if (!sent) {
    inbox_->outstanding.fetch_sub(prompts);
    co_return fail(queue_full(config_.max_sequences + config_.max_waiting));
  }
  std::unique_ptr<EventStream> stream = std::make_unique<DeliveryStream>(
      std::move(delivery),
      DeliveryStream::Hooks{.cancel = [inbox = inbox_, id] { inbox->cancel(id); },
                            .resume = [inbox = inbox_, id] { inbox->mailbox.try_push(WakeUp{id}); }});
  if (preparation->parsers.empty()) co_return stream;
  co_return std::make_unique<ChatStream>(std::move(stream), std::move(preparation->parsers), request->id);
}

Task<Result<TokenizeResult>> Engine::tokenize(TokenizeRequest request) {
  const auto backend = ready();
  if (!backend) co_return fail(backend.error());
  auto job = std::make_shared<const TokenizeRequest>(std::move(request));
  auto tokens = co_await dependencies_.pool.run(
      [backend = *backend, job] { return tokens_of(*backend, job->prompt, job->add_special); });
  if (!tokens) co_return fail(tokens.error());
  if (!*tokens) co_return fail(tokens->error());
  co_return TokenizeResult{.tokens = std::move(**tokens),
                           .context_length = (*backend)->facts().context_length};
}

Task<Result<std::string>> Engine::detokenize(std::vector<TokenId> tokens) {
  const auto backend = ready();
  if (!backend) co_return fail(backend.error());
  const std::uint32_t vocabulary = (*backend)->facts().vocabulary_size;
  std::string bytes;
  for (const TokenId token : tokens) {
    if (token < 0 || static_cast<std::uint32_t>(token) >= vocabulary) {
      co_return fail(invalid_field("tokens", fmt::format("tokens has {}, but this model's tokens are 0 to {}",
                                                         token, vocabulary - 1)));
    }
    bytes += (*backend)->piece(token);
  }
  std::string text;
  append_valid_utf8(text, bytes);
  co_return text;
}

ModelCard Engine::card() const {
  ModelCard card{.name = name_, .source = config_.path, .created = created_};
  if (const auto backend = ready()) {
    card.context_length = (*backend)->facts().context_length;
    card.has_chat_template = (*backend)->facts().has_chat_template;
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

LoadReport Engine::load() const { return load_.report(config_.max_sequences, config_.max_waiting); }

std::shared_ptr<const PrefixSet> Engine::prefixes() const { return load_.prefixes.snapshot(); }

}  // namespace autoglm::engine
