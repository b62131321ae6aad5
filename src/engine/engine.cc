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

// Splitting this much text into tokens takes well under a tenth of a millisecond: not worth a thread.
constexpr std::size_t kInlineTextBytes = 512;

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
  inbox_->mailbox.close();
  if (Backend* backend = inbox_->backend.load()) backend->abort.store(true);
  thread_.join();
}

void Engine::run() {
  pthread_setname_np(pthread_self(), "engine");
  const auto began = std::chrono::steady_clock::now();
  auto loaded =
      dependencies_.load([this](double share) { progress_.store(share, std::memory_order_relaxed); });
  if (!loaded) {
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
                       .max_stall = config_.max_stall,
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

/// What is to be computed, and what follows for its answer. On the pool when it may take long.
Task<Result<Engine::Prepared>> Engine::prepare(Backend& backend, std::shared_ptr<const Prompt> prompt,
                                               OutputFormat format, bool add_special) {
  const bool constrained = format.kind != OutputFormat::Kind::kText;
  if (const auto* tokens = std::get_if<TokenPrompt>(prompt.get())) {
    const std::uint32_t vocabulary = backend.facts().vocabulary_size;
    for (const TokenId token : tokens->tokens) {
      if (token < 0 || static_cast<std::uint32_t>(token) >= vocabulary) {
        co_return fail(invalid_field(
            "prompt", fmt::format("prompt has the token {}, but this model's tokens are 0 to {}", token,
                                  vocabulary - 1)));
      }
    }
    if (!constrained) co_return Prepared{.tokens = tokens->tokens};
  }
  // Owns what it reads: a client that goes away destroys this task, and not the job on the pool.
  const auto make = [&backend, prompt, format = std::move(format), add_special] {
    return prepare_now(backend, *prompt, format, add_special);
  };
  const auto* text = std::get_if<TextPrompt>(prompt.get());
  if (text != nullptr && text->text.size() <= kInlineTextBytes && !constrained) co_return make();
  auto made = co_await dependencies_.pool.run(make);
  if (!made) co_return fail(made.error());
  co_return std::move(*made);
}

Result<Engine::Prepared> Engine::prepare_now(const Backend& backend, const Prompt& prompt,
                                             const OutputFormat& format, bool add_special) {
  Prepared prepared;
  Result<std::vector<TokenId>> tokens;
  if (const auto* chat = std::get_if<ChatPrompt>(&prompt)) {
    auto rendered = backend.render_chat(*chat, format);
    if (!rendered) return fail(rendered.error());
    // A template writes BOS itself, where its model wants one; twice would change the answer.
    tokens = backend.tokenize(rendered->text, false, true);
    prepared.constraint = std::move(rendered->constraint);
    prepared.make_parser = std::move(rendered->make_parser);
    prepared.stop = std::move(rendered->stop);
  } else {
    const auto* text = std::get_if<TextPrompt>(&prompt);
    if (text != nullptr) {
      tokens = backend.tokenize(text->text, add_special, false);
    } else {
      tokens = std::get<TokenPrompt>(prompt).tokens;
    }
    if (format.kind != OutputFormat::Kind::kText) {
      auto constraint = backend.make_constraint(format);
      if (!constraint) return fail(constraint.error());
      prepared.constraint = std::move(*constraint);
    }
  }
  if (!tokens) return fail(tokens.error());
  prepared.tokens = std::move(*tokens);
  return prepared;
}

Result<void> Engine::check(const Backend& backend, const GenerateRequest& work, std::size_t tokens) const {
  const BackendFacts& facts = backend.facts();
  if (tokens == 0) return fail(invalid_field("prompt", "prompt is empty: there is nothing to continue"));
  const std::uint64_t wanted = tokens + work.stop.max_tokens.value_or(1);
  if (wanted > facts.context_length) {
    return fail(invalid_field(work.stop.max_tokens && tokens < facts.context_length ? "max_tokens" : "prompt",
                              fmt::format("this model's context is {} tokens; the prompt has {} and the "
                                          "answer may take {}: shorten the prompt or "
                                          "lower max_tokens",
                                          facts.context_length, tokens, work.stop.max_tokens.value_or(1)),
                              "context_length_exceeded"));
  }
  if (work.n > facts.max_sequences) {
    return fail(invalid_field(
        "n", fmt::format("n must be at most {}, the sequences this server runs at a time, got {}",
                         facts.max_sequences, work.n)));
  }
  for (const TokenId token : work.stop.stop_tokens) {
    if (static_cast<std::uint32_t>(token) >= facts.vocabulary_size) {
      return fail(invalid_field(
          "stop_token_ids", fmt::format("stop_token_ids has {}, but this model's tokens are 0 to {}", token,
                                        facts.vocabulary_size - 1)));
    }
  }
  for (const auto& [token, bias] : work.sampling.logit_bias) {
    if (static_cast<std::uint32_t>(token) >= facts.vocabulary_size) {
      return fail(invalid_field(
          "logit_bias", fmt::format("logit_bias names the token {}, but this model's tokens are 0 to {}",
                                    token, facts.vocabulary_size - 1)));
    }
  }
  return {};
}

Task<Result<std::unique_ptr<EventStream>>> Engine::generate(InferenceRequestPtr request,
                                                            const CallContext& context) {
  const auto arrived = std::chrono::steady_clock::now();
  const auto backend = ready();
  if (!backend) co_return fail(backend.error());
  const auto& work = std::get<GenerateRequest>(request->work);
  auto prepared =
      co_await prepare(**backend, std::shared_ptr<const Prompt>(request, &work.prompt), work.format, true);
  if (!prepared) co_return fail(prepared.error());
  if (auto checked = check(**backend, work, prepared->tokens.size()); !checked)
    co_return fail(checked.error());
  std::vector<std::unique_ptr<ChatParser>> parsers;
  for (std::uint32_t i = 0; prepared->make_parser && i < work.n; ++i)
    parsers.push_back(prepared->make_parser());
  std::vector<std::string> stop = work.stop.stop;
  stop.insert(stop.end(), prepared->stop.begin(), prepared->stop.end());

  const std::uint32_t limit = config_.max_sequences + config_.max_waiting;
  if (inbox_->outstanding.fetch_add(1) >= limit) {
    inbox_->outstanding.fetch_sub(1);
    co_return fail(queue_full(limit));
  }
  const GenerationId id{next_generation_.fetch_add(1)};
  auto delivery = std::make_shared<Delivery>(EventLoop::current());
  const std::hash<std::string> hash;
  const bool sent =
      inbox_->mailbox.try_push(Submission{.id = id,
                                          .request = request,
                                          .prompt = std::move(prepared->tokens),
                                          .constraint = std::move(prepared->constraint),
                                          .stop = std::move(stop),
                                          .delivery = delivery,
                                          .arrived = arrived,
                                          .deadline = context.deadline.at(),
                                          .priority = context.priority,
                                          .tenant = hash(context.tenant),
                                          .salt = work.cache_salt.empty() ? 0 : hash(work.cache_salt)});
  if (!sent) {
    inbox_->outstanding.fetch_sub(1);
    co_return fail(queue_full(limit));
  }
  std::unique_ptr<EventStream> stream = std::make_unique<DeliveryStream>(
      std::move(delivery),
      DeliveryStream::Hooks{.cancel = [inbox = inbox_, id] { inbox->cancel(id); },
                            .resume = [inbox = inbox_, id] { inbox->mailbox.try_push(WakeUp{id}); }});
  if (parsers.empty()) co_return stream;
  co_return std::make_unique<ChatStream>(std::move(stream), std::move(parsers), request->id);
}

Task<Result<TokenizeResult>> Engine::tokenize(TokenizeRequest request) {
  const auto backend = ready();
  if (!backend) co_return fail(backend.error());
  auto prepared = co_await prepare(**backend, std::make_shared<const Prompt>(std::move(request.prompt)), {},
                                   request.add_special);
  if (!prepared) co_return fail(prepared.error());
  co_return TokenizeResult{.tokens = std::move(prepared->tokens),
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

}  // namespace autoglm::engine
