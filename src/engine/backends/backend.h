#pragma once

#include "base/result.h"
#include "engine/kv/kv_operation.h"
#include "inference/events.h"
#include "inference/request.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::engine {

/// One row of a step: a token at a position of a sequence.
struct BatchRow {
  TokenId token = 0;
  std::int32_t position = 0;  ///< in its sequence
  std::int32_t sequence = 0;  ///< the sequence's id in the cache: 0 … sequence_ids-1
  bool wants_logits = false;
};

enum class DecodeStatus : std::uint8_t {
  kOk,
  kNoRoom,   ///< the cache cannot hold the step; nothing was changed
  kAborted,  ///< `abort` was set; cells of the step may or may not exist: remove them
  kFailed,   ///< the backend could not compute this step; cells as with kAborted
};

/// Tokens around the texts before and after a gap; the answer, which fills the gap, follows `middle`.
struct InfillTokens {
  TokenId prefix = 0;
  TokenId suffix = 0;
  TokenId middle = 0;
};

/// Properties of a loaded model.
struct BackendFacts {
  std::uint32_t context_length = 0;  ///< tokens of one sequence
  std::uint32_t cache_cells = 0;     ///< tokens of all sequences together
  std::uint32_t max_sequences = 0;   ///< rows of one step that may want logits
  std::uint32_t sequence_ids = 0;    ///< sequences that the cache can tell apart
  bool shares_prefixes = false;      ///< whether cells may belong to several sequences permanently
  std::uint64_t cell_bytes = 0;      ///< size of a saved token, approximately; 0: nothing can be saved
  std::uint32_t max_batch = 0;       ///< rows of one step
  std::uint32_t threads = 1;         ///< the most threads that may compute a step
  std::uint32_t tile_rows = 0;       ///< rows that a matrix multiplication takes at a time; 0: no tiles
  std::uint32_t vocabulary_size = 0;
  std::uint32_t longest_token = 0;  ///< the most bytes of text that one token may stand for; 0: unknown
  bool has_chat_template = false;
  std::string tokenizer_info = "{}";   ///< for clients that build prompts themselves, as JSON
  bool adds_bos = false;               ///< then even an empty prompt is one token long
  std::optional<InfillTokens> infill;  ///< absent: the model was not trained for infilling
  std::string file;                    ///< the file it was loaded from; empty: none
  SamplingNumbers sampling;            ///< the file's recommendations
  std::vector<std::string> remarks;    ///< statements of the file that are ignored, for the log
  std::vector<std::string> notes;      ///< other facts that may surprise, for the log
};

/// The tokens that a grammar allows next. Belongs to one thread at a time.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  virtual std::unique_ptr<TokenConstraint> clone() const = 0;
  /// Memory that a clone takes, approximately.
  virtual std::size_t bytes() const = 0;
  virtual bool allows(TokenId token) const = 0;
  /// Sets the logits of forbidden tokens to minus infinity. Returns an allowed token; nothing when none is
  /// allowed, because the format contradicts itself.
  virtual std::optional<TokenId> mask(std::span<float> logits) const = 0;
  /// Advances the grammar by `token`, which it must allow.
  virtual void accept(TokenId token) = 0;
};

/// Splits a chat model's output into content, reasoning and tool calls. Belongs to one choice and one thread.
class ChatParser {
 public:
  virtual ~ChatParser() = default;
  /// Adds `event`'s text, and leaves in `event` what is new of each kind. At the end (`event.finish` is set)
  /// text that was held back is released.
  virtual void parse(TokenEvent& event) = 0;
};

/// A conversation turned into a prompt by the model's template, and what the template implies for the answer.
struct RenderedChat {
  std::string text;
  /// The parts of `text`, in order, as begin and end, whose bytes never become special tokens, whatever they
  /// look like; each part is tokenized separately.
  std::vector<std::pair<std::size_t, std::size_t>> plain;
  std::unique_ptr<TokenConstraint> constraint;               ///< null: unconstrained
  std::function<std::unique_ptr<ChatParser>()> make_parser;  ///< empty: text is content
  std::vector<std::string> stop;                             ///< further texts that end the answer
};

/// A loaded model with its key-value cache: tokens in, logits out. Tokenizing, templates and facts are
/// thread-safe; everything else belongs to the one thread that runs the engine's steps.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual const BackendFacts& facts() const = 0;

  /// `parse_special`: whether special tokens written in `text` become those tokens (templates) or stay text.
  virtual Result<std::vector<TokenId>> tokenize(std::string_view text, bool add_special,
                                                bool parse_special) const = 0;
  /// The bytes of a token, which may be part of a character; special tokens have none.
  virtual std::string_view piece(TokenId token) const = 0;
  /// The token as the vocabulary spells it, special tokens included: "<|im_end|>", "Ġhello".
  virtual std::string_view written(TokenId token) const = 0;
  virtual bool ends_generation(TokenId token) const = 0;
  virtual std::span<const TokenId> end_tokens() const = 0;
  /// Turns the conversation into a prompt that ends where the assistant's turn begins. Errors:
  /// kInvalidArgument when there is no template, or the template refuses the messages, the tools or the
  /// format.
  virtual Result<RenderedChat> render_chat(const ChatPrompt& chat, const OutputFormat& format) const = 0;
  /// Makes the constraint of a format other than kText, outside a chat. Errors: kInvalidArgument, saying what
  /// is wrong with its definition.
  virtual Result<std::unique_ptr<TokenConstraint>> make_constraint(const OutputFormat& format) const = 0;

  /// Computes a step on `threads` threads, the caller's included: 1 … facts().threads.
  virtual DecodeStatus decode(std::span<const BatchRow> rows, std::uint32_t threads) = 0;
  /// The logits of row `i` of the last step, which must have asked for them. Valid until the next step; the
  /// caller may change them.
  virtual std::span<float> logits(std::size_t row) = 0;
  /// Shares, forgets, saves or restores cells. If a restore fails, the next step of its sequence fails.
  virtual void apply(const KvOperation& operation) = 0;

  /// Makes a running `decode` return kAborted soon; thread-safe. Stays set until it is cleared.
  std::atomic<bool> abort{false};
};

/// Gets the progress, 0 … 1; returns false when the model is no longer wanted.
using LoadProgress = std::function<bool(double)>;
/// Loads a model; runs on the engine's thread, so it may block. Calls `progress` several times a second and
/// ends soon after it returns false.
using BackendLoader = std::function<Result<std::unique_ptr<Backend>>(const LoadProgress& progress)>;

/// Chooses tokens for one choice of one request. Belongs to the engine's thread.
class TokenSampler {
 public:
  virtual ~TokenSampler() = default;

  /// The next token after `logits` (of the whole vocabulary; changed). `index` counts the tokens of the
  /// choice: the draw is a function of seed, choice and index alone, so that a generation does not depend on
  /// other requests and can be continued on any machine. Nothing: no token is allowed.
  virtual std::optional<TokenId> sample(std::span<float> logits, std::uint64_t index) = 0;
  /// Tells the penalties which token was chosen.
  virtual void accept(TokenId token) = 0;
};

struct SamplerSetup {
  SamplingParams params;
  std::uint64_t seed;
  std::uint32_t choice;
  std::uint32_t vocabulary_size;
  std::span<const std::pair<TokenId, float>> logit_bias;
  std::span<const TokenId> allowed;              ///< no other tokens; empty: all. Must outlive the sampler
  std::span<const std::vector<TokenId>> banned;  ///< forbidden in this order. Must outlive the sampler
  std::span<const TokenId> prompt;               ///< counted by repetition_penalty, as in vLLM
  std::span<const TokenId> answer;  ///< generated before: for penalties; `constraint` has accepted it already
  std::unique_ptr<TokenConstraint> constraint;
};
using SamplerFactory = std::function<std::unique_ptr<TokenSampler>(SamplerSetup)>;

}  // namespace autoglm::engine
