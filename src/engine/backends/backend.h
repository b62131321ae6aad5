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

/// One token of one step.
struct BatchRow {
  TokenId token = 0;
  std::int32_t position = 0;  ///< in its sequence
  std::int32_t sequence = 0;  ///< id of its cache: 0 … sequence_ids-1
  bool wants_logits = false;
};

enum class DecodeStatus : std::uint8_t {
  kOk,
  kNoRoom,   ///< the cache cannot hold the step; nothing was changed
  kAborted,  ///< `abort` was set; cells of the step may or may not be there: remove them
  kFailed,   ///< the backend is broken for this step; likewise
};

/// Tokens around what stands before a gap and behind it; the answer, which fills it, follows the last.
struct InfillTokens {
  TokenId prefix = 0;
  TokenId suffix = 0;
  TokenId middle = 0;
};

/// What is known once a model is loaded.
struct BackendFacts {
  std::uint32_t context_length = 0;  ///< tokens of one sequence
  std::uint32_t cache_cells = 0;     ///< tokens of all sequences together
  std::uint32_t max_sequences = 0;   ///< rows of one step that may want logits
  std::uint32_t sequence_ids = 0;    ///< that its cache tells apart
  bool shares_prefixes = false;      ///< whether cells may belong to several sequences, for good
  std::uint64_t cell_bytes = 0;      ///< of a saved token, about; 0: nothing can be saved
  std::uint32_t max_batch = 0;       ///< rows of one step
  std::uint32_t threads = 1;         ///< that may compute a step, at most
  std::uint32_t tile_rows = 0;       ///< that matrices are multiplied by at a time; 0: no tiles
  std::uint32_t vocabulary_size = 0;
  std::uint32_t longest_token = 0;  ///< bytes of text that one may stand for, at most; 0: unknown
  bool has_chat_template = false;
  std::string tokenizer_info = "{}";   ///< for clients that make prompts themselves, as JSON
  bool adds_bos = false;               ///< an empty prompt is one token long then
  std::optional<InfillTokens> infill;  ///< absent: it was not made for that
  std::string file;                    ///< that it was loaded from; empty: none
  SamplingNumbers sampling;            ///< what that file says
  std::vector<std::string> remarks;    ///< what it says and is not heeded, for the log
  std::vector<std::string> notes;      ///< what else is otherwise than one may expect, for the log
};

/// What may come next, by a grammar. Belongs to one thread at a time.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  virtual std::unique_ptr<TokenConstraint> clone() const = 0;
  /// Memory that a clone takes, about.
  virtual std::size_t bytes() const = 0;
  virtual bool allows(TokenId token) const = 0;
  /// Sets the logits of what is not allowed to minus infinity. One token that is; nothing: the format
  /// contradicts itself, there is no way on.
  virtual std::optional<TokenId> mask(std::span<float> logits) const = 0;
  /// Only what it allows.
  virtual void accept(TokenId token) = 0;
};

/// Takes apart what a chat model writes: content, reasoning, tool calls. Belongs to one choice and thread.
class ChatParser {
 public:
  virtual ~ChatParser() = default;
  /// Adds `event`'s text, and leaves in `event` what is new of each kind. At the end (`event.finish` is set)
  /// whatever was held back comes out.
  virtual void parse(TokenEvent& event) = 0;
};

/// A conversation, made a prompt by the model's template, and what follows from it.
struct RenderedChat {
  std::string text;
  /// Begins and ends of parts of it, in order, in which no special token is written, whatever it looks like;
  /// each is read by itself.
  std::vector<std::pair<std::size_t, std::size_t>> plain;
  std::unique_ptr<TokenConstraint> constraint;               ///< null: anything goes
  std::function<std::unique_ptr<ChatParser>()> make_parser;  ///< empty: text is content
  std::vector<std::string> stop;                             ///< texts that end the answer, too
};

/// A loaded model with its key-value cache: tokens in, logits out. Tokenizing, templates and facts
/// are thread-safe; the rest belongs to the one thread that runs the engine's steps.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual const BackendFacts& facts() const = 0;

  /// `parse_special`: whether special tokens written in `text` become those tokens (templates) or stay text.
  virtual Result<std::vector<TokenId>> tokenize(std::string_view text, bool add_special,
                                                bool parse_special) const = 0;
  /// The bytes of a token, which may be part of a character; special tokens have none.
  virtual std::string_view piece(TokenId token) const = 0;
  /// As the vocabulary writes it, special tokens too: "<|im_end|>", "Ġhello".
  virtual std::string_view written(TokenId token) const = 0;
  virtual bool ends_generation(TokenId token) const = 0;
  virtual std::span<const TokenId> end_tokens() const = 0;
  /// The conversation as a prompt that ends where the assistant's turn begins. kInvalidArgument when there is
  /// no template, or it refuses the messages, the tools or the format.
  virtual Result<RenderedChat> render_chat(const ChatPrompt& chat, const OutputFormat& format) const = 0;
  /// Of a format that is not kText, outside of a chat. kInvalidArgument: what is wrong with its definition.
  virtual Result<std::unique_ptr<TokenConstraint>> make_constraint(const OutputFormat& format) const = 0;

  /// Computes a step by so many threads, the caller's included: 1 … facts().threads.
  virtual DecodeStatus decode(std::span<const BatchRow> rows, std::uint32_t threads) = 0;
  /// Of row `i` of the last step, which wanted them. Valid until the next step; the caller may change them.
  virtual std::span<float> logits(std::size_t row) = 0;
  /// Shares, forgets, saves or restores cells. What cannot be restored makes the next step of its sequence
  /// fail.
  virtual void apply(const KvOperation& operation) = 0;

  /// Makes a running `decode` return kAborted soon; thread-safe. Stays set until cleared.
  std::atomic<bool> abort{false};
};

/// Is told 0 … 1; false when nobody wants the model any more.
using LoadProgress = std::function<bool(double)>;
/// Loads a model; runs on the engine's thread, so it may take its time. Asks `progress` some times a second,
/// and ends soon when it says no.
using BackendLoader = std::function<Result<std::unique_ptr<Backend>>(const LoadProgress& progress)>;

/// Chooses tokens for one choice of one request. Belongs to the engine's thread.
class TokenSampler {
 public:
  virtual ~TokenSampler() = default;

  /// The next token after `logits` (of the whole vocabulary; changed). `index` counts the tokens of the
  /// choice: the draw is a function of seed, choice and index alone, so that a generation does not depend on
  /// what else runs and can be continued by anybody. Nothing: no token is allowed.
  virtual std::optional<TokenId> sample(std::span<float> logits, std::uint64_t index) = 0;
  /// Tells penalties what was chosen.
  virtual void accept(TokenId token) = 0;
};

struct SamplerSetup {
  SamplingParams params;
  std::uint64_t seed;
  std::uint32_t choice;
  std::uint32_t vocabulary_size;
  std::span<const std::pair<TokenId, float>> logit_bias;
  std::span<const TokenId> allowed;              ///< no others; empty: all. Outlives the sampler
  std::span<const std::vector<TokenId>> banned;  ///< must not come one behind the other; likewise
  std::span<const TokenId> prompt;               ///< repetition_penalty counts it, as vLLM does
  std::span<const TokenId> answer;  ///< generated before: for penalties; `constraint` knows it already
  std::unique_ptr<TokenConstraint> constraint;
};
using SamplerFactory = std::function<std::unique_ptr<TokenSampler>(SamplerSetup)>;

}  // namespace autoglm::engine
