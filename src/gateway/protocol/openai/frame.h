#pragma once

#include "base/result.h"
#include "inference/events.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::protocol::openai {

/// What a frame of a server's stream says, as far as a gateway needs it.
struct Frame {
  std::vector<TokenEvent> events;  ///< a choice each; text of deltas and of completions
  bool has_tokens = false;         ///< some choice told its token ids
  bool is_chunk = false;           ///< it has choices, perhaps none at present, or usage
  bool says = false;               ///< some choice says more than the role
  std::optional<Usage> usage;
  std::optional<Error> error;  ///< the frame is an error, in any form that servers use
};

/// Reads `json`, a chunk of OpenAI's. `decodes`: whole, with tool calls and logprobs, to be written in
/// another protocol. Errors: kBadGateway when it is none.
Result<Frame> read_frame(std::string_view json, bool decodes = false);
/// The usage that a whole answer tells. Errors: what the server says instead of an answer, such as an error
/// object; kBadGateway when it has no choice, or is no JSON object.
Result<Usage> read_answer(std::string_view json);
/// The same of an answer to /embeddings, /rerank or /score: a list in place of choices.
Result<Usage> read_listed(std::string_view json);
/// The same of an answer to vLLM's /generate, which tells no usage.
Result<void> read_generated(std::string_view json);

/// The error that an endpoint answered with, as its client should see it. A 4xx about the body is the
/// client's fault. A 4xx about what this gateway chose (the model's name, the key, the path, the method) is
/// the endpoint's, with the reason `kEndpointMisconfigured`, as everything else is: another endpoint may do
/// better.
Error read_error(int status, std::string_view body, std::optional<std::chrono::seconds> retry_after = {});

/// The next whole server-sent event in `bytes` from `begin` on, its end included; empty when it is not there
/// yet. Lines end as the standard has it: with CRLF, LF or CR. `searched`: an earlier look has shown that no
/// frame's end begins before it.
std::string_view next_frame(std::string_view bytes, std::size_t begin, std::size_t searched = 0);
/// The event's data; nothing when it has no data line, as a comment has none. Several lines are joined by
/// newlines in `joined`, which the result may point into.
std::optional<std::string_view> frame_data(std::string_view frame, std::string& joined);
/// An event without the comments and empty lines before its first field.
std::string_view without_comments(std::string_view frame);

/// The usage as a comment, which one process of this program sends another before the end of a stream, since
/// the client may not have asked for usage. Nothing for other frames.
std::string usage_comment(const Usage& usage);
std::optional<Usage> read_usage_comment(std::string_view frame);

}  // namespace autoglm::protocol::openai
