#pragma once

#include "base/result.h"
#include "inference/request.h"
#include "runtime/task.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm {

/// Why a choice ended; `to_string` gives OpenAI's words.
enum class FinishReason : std::uint8_t { kStop, kLength, kToolCalls };
std::string_view to_string(FinishReason reason);

/// A token and how likely the model thought it, before sampling parameters changed anything.
struct TokenLogprob {
  TokenId token = 0;
  double logprob = 0;      ///< NaN for a prompt's first token, which nothing precedes
  std::uint32_t rank = 1;  ///< among the whole vocabulary; 1: the likeliest
  std::string bytes;       ///< may be part of a character
};

struct GeneratedLogprob {
  TokenLogprob chosen;
  std::size_t offset = 0;         ///< bytes of the choice's text before it
  std::vector<TokenLogprob> top;  ///< likeliest first
};

/// What has been added to a tool call; id and name come whole, with the first delta.
struct ToolCallDelta {
  std::uint32_t index = 0;
  std::string id;
  std::string name;
  std::string arguments;
};

/// One step of one choice. Text is valid UTF-8: a character that needs several tokens comes whole,
/// with the last of them, so text may be empty while tokens are not.
struct TokenEvent {
  std::uint32_t choice = 0;
  std::uint32_t index = 0;  ///< position of the first of `tokens` in its choice
  std::vector<TokenId> tokens;
  std::string text;
  std::string reasoning;  ///< of models that think aloud: not part of the text
  std::vector<ToolCallDelta> tool_calls;
  std::vector<GeneratedLogprob> logprobs;         ///< of each of `tokens`, when asked for
  std::vector<GeneratedLogprob> prompt_logprobs;  ///< of the prompt's next tokens, when asked for
  std::optional<FinishReason> finish;             ///< set on the last event of a choice
  std::string stop = {};  ///< with `finish`: the stop string that ended the text; empty: none did
};

/// Token counts of one request, all choices together.
struct Usage {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;  ///< of the prompt: found in the prefix cache
  std::uint32_t completion_tokens = 0;
};

/// Everything that is ready, in order. `usage` comes with the last batch: after it the stream is over.
struct EventBatch {
  std::vector<TokenEvent> events;
  /// Of a stream that is passed through: the answer's own bytes, whole frames in the client's protocol, the
  /// last ones included. They go out unchanged; `events` say only as much of them as this process needs.
  std::string raw;
  /// Of a request that asks for no text: what it asks for, in the last and only batch, unless `raw` is it.
  std::shared_ptr<const WholeAnswer> answer;
  std::optional<Usage> usage;
  bool last() const { return usage.has_value(); }
};

/// Where an answer comes from, for headers and logs.
struct StreamOrigin {
  std::string endpoint;
  std::uint32_t attempts = 1;  ///< 0: no endpoint has answered, the configured text does
  std::string fallback;        ///< the model that answers in place of the one that was asked
  std::shared_ptr<const EndpointAnswer> answer;  ///< its head: status, type and fields; null: there is none
};

/// The error of `next()` on a stream that is over.
Error stream_is_over();

/// The answer to a generate request while it is being made. Pulled; belongs to the loop it was made on.
/// **Destroying it cancels the work**, wherever it stands, and releases at once what was held for it. Its
/// endpoint must outlive it. An error ends the stream.
class EventStream {
 public:
  virtual ~EventStream() = default;

  /// The next batch, with at least one event or byte unless it is the last one. One call at a time. A pending
  /// `next()` may be destroyed, at any moment, and called again: nothing is lost and nothing comes twice.
  /// After the last batch, and after an error, every further call is an error.
  virtual Task<Result<EventBatch>> next() = 0;

  /// Known once `generate` has returned; null for an engine of this process. Valid until the next `next()`.
  virtual const StreamOrigin* origin() const { return nullptr; }

  /// The head of the server's answer, as far as a client may see it; null: there is none.
  virtual std::shared_ptr<const EndpointAnswer> head() const { return nullptr; }

  /// Whether every token comes with its id, so that another endpoint can continue exactly. Asked of the
  /// stream and not of its endpoint, since what is known of a server may change while it answers.
  virtual bool tells_tokens() const { return false; }
};

}  // namespace autoglm
