#pragma once

#include "base/result.h"
#include "inference/call_context.h"
#include "inference/events.h"
#include "inference/load_report.h"
#include "inference/prefix_digests.h"
#include "inference/request.h"
#include "runtime/task.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm {

/// What is known of a model that somebody serves.
struct ModelCard {
  std::string name;
  std::string root = {};             ///< the model that `name` is an alias of; empty: it is its own
  std::string source;                ///< file or address, for people
  std::uint32_t context_length = 0;  ///< tokens of prompt and answer together; 0: unknown
  std::int64_t created = 0;          ///< unix seconds
  bool has_chat_template = false;
  std::vector<SamplingDefault> sampling;  ///< empty: unknown
  std::string system_message;             ///< of chats without one; empty: as the model's template has it
};

/// Whether an endpoint takes requests. Readiness answers and `/health` show it.
struct EndpointStatus {
  enum class State : std::uint8_t { kLoading, kReady, kFailed, kDraining };
  State state = State::kLoading;
  double progress = 0;  ///< of loading, 0 … 1
  std::string detail;   ///< kFailed: why, and what to do; kLoading: what goes on, where that is not plain
};

/// What a request for a model is told that could not be loaded. `why` names files and is for the log.
Error load_failed(const std::string& model, const std::string& why);

struct TokenizeRequest {
  Prompt prompt;                         ///< text or chat
  std::optional<bool> add_special = {};  ///< as GenerateRequest has it
  bool with_texts = false;               ///< as the vocabulary writes its tokens
};

struct TokenizeResult {
  std::vector<TokenId> tokens;
  std::uint32_t context_length = 0;
  std::vector<std::string> texts = {};  ///< of each token, when asked for; may be a part of a character
};

/// Whether an endpoint can go on with an answer that somebody else began, and from what.
enum class Continuation : std::uint8_t {
  kNone,
  kText,   ///< what was said so far; what follows is as likely, not the same
  kExact,  ///< the tokens so far: as if nothing had happened
};

/// A place that answers for a model: the engine in this process, or a server across the network.
/// One object serves all loops; its methods are thread-safe, and what they return belongs to the
/// calling loop. Errors say by `retry` whether another endpoint may succeed.
class Endpoint {
 public:
  virtual ~Endpoint() = default;

  /// Starts the work. An error here means that nothing was generated. Destroyed before it has an answer it
  /// takes the work back, and holds nothing. `context` outlives the call; the stream has what it needs of it.
  virtual Task<Result<std::unique_ptr<EventStream>>> generate(InferenceRequestPtr request,
                                                              const CallContext& context) = 0;

  virtual Task<Result<TokenizeResult>> tokenize(TokenizeRequest request, const CallContext& context) = 0;
  virtual Task<Result<std::string>> detokenize(std::vector<TokenId> tokens) = 0;
  /// What there is to know of its tokenizer, as a JSON object.
  virtual Task<Result<std::string>> tokenizer_info() {
    co_return fail(Error{.code = ErrorCode::kUnimplemented,
                         .message = "this is not known of a model on other servers: ask one of them"});
  }

  /// Whether it forwards `InferenceRequest::wire`.
  virtual bool passes_through() const { return false; }

  /// Whether it, and not this process, judges the bodies of generations that nobody here understands.
  virtual bool judges_bodies() const { return false; }
  /// Whether requests to `path`, below /v1/, are passed to it though nobody here knows what they are.
  virtual bool passes(std::string_view path) const {
    static_cast<void>(path);
    return false;
  }

  /// How it could go on with `request`, were it begun by somebody else.
  virtual Continuation continuation(const InferenceRequest& request) const {
    static_cast<void>(request);
    return Continuation::kNone;
  }

  virtual ModelCard card() const = 0;
  virtual EndpointStatus status() const = 0;
  virtual LoadReport load() const = 0;
  /// What it has read lately, as far as it says; null: it does not.
  virtual std::shared_ptr<const PrefixSet> prefixes() const { return nullptr; }
  /// Its numbers in Prometheus' text, where they are not in this process's registry; empty: they are, or it
  /// does not say.
  virtual Task<std::string> metrics() { co_return std::string(); }
};

}  // namespace autoglm
