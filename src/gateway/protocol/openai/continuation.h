#pragma once

#include "base/result.h"
#include "gateway/protocol/json/edit.h"
#include "inference/request.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::protocol::openai {

/// Continuing a broken stream from its text, at a server that knows nothing else of it: the request that asks
/// for the rest, and the rest as a part of the first answer.

/// Whether text is all there is to an answer to `work`: one choice, no logprobs, no tools, no format, which
/// could not be resumed in its middle.
bool is_plain_text(const GenerateRequest& work);

/// What to change in the client's body, so that the answer continues after `work.resume_text`: a longer
/// prompt, or for chats vLLM's `continue_final_message`. Errors: kInvalidArgument, for a body that cannot be
/// edited.
Result<std::vector<JsonEdit>> continuation_edits(const WireBody& wire, const GenerateRequest& work);

/// The members by which an answer's frames differ from another answer's, as JSON.
struct AnswerIdentity {
  std::string id;
  std::string created;
  std::string model;
};
/// Of the first frame in `raw`.
AnswerIdentity read_identity(std::string_view raw);

/// Frames of the second answer as frames of the first, which had `tokens` tokens. Frames that only open an
/// answer are left out.
std::string continue_frames(std::string_view raw, const AnswerIdentity& identity, std::uint32_t tokens);

/// The end of an answer whose text is complete; if `reason`, with a frame whose finish reason is the length.
std::string end_frames(const AnswerIdentity& identity, WireBody::Protocol protocol, bool reason);

}  // namespace autoglm::protocol::openai
