#pragma once

#include "base/result.h"
#include "inference/events.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::protocol::openai {

/// What a frame of somebody's stream says, as far as a gateway needs it.
struct Frame {
  std::vector<TokenEvent> events;  ///< a choice each; text of deltas and of completions
  bool has_tokens = false;         ///< some choice told its token ids
  std::optional<Usage> usage;
  std::optional<Error> error;  ///< the frame is an error event
};

/// Reads `json`, a chunk of OpenAI's. Errors: kBadGateway when it is none.
Result<Frame> read_frame(std::string_view json);
/// The usage that a whole answer tells. Errors: what it says instead of an answer; kBadGateway when it is no
/// JSON object.
Result<Usage> read_answer(std::string_view json);

/// The error that an endpoint answered with, as its client should see it. 4xx are the client's own,
/// everything else the endpoint's, which somebody else may do better.
Error read_error(int status, std::string_view body, std::string_view retry_after);

/// The next whole server-sent event in `bytes` from `begin` on, its end included; empty when it is not there
/// yet.
std::string_view next_frame(std::string_view bytes, std::size_t begin);
/// The event's data; nothing for comments.
std::optional<std::string_view> frame_data(std::string_view frame);

/// What one process of ours tells another before the end of a stream, as a comment, since its client may not
/// have asked for usage. Nothing for other frames.
std::string usage_comment(const Usage& usage);
std::optional<Usage> read_usage_comment(std::string_view frame);

}  // namespace autoglm::protocol::openai
