#pragma once

#include "base/result.h"
#include "gateway/protocol/json/edit.h"
#include "inference/request.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::protocol::openai {

/// Going on with a stream that broke, at a server that knows nothing of it but its text: the request that
/// asks for the rest, and the rest made part of the first answer.

/// Whether text says all that there is to say of an answer to `work`: one choice, no logprobs, no tools, no
/// format whose middle nobody can enter.
bool is_plain_text(const GenerateRequest& work);

/// What to change in the client's body, so that the answer goes on behind `work.resume_text`: a longer
/// prompt, or for chats vLLM's `continue_final_message`. Errors: kInvalidArgument, for a
/// body that cannot be edited.
Result<std::vector<JsonEdit>> continuation_edits(const WireBody& wire, const GenerateRequest& work);

/// How an answer's frames are told from another's, as JSON.
struct AnswerIdentity {
  std::string id;
  std::string created;
  std::string model;
};
/// Of the first frame in `raw`.
AnswerIdentity read_identity(std::string_view raw);

/// Frames of the second answer as frames of the first, which had `tokens` tokens. What only opens an answer
/// is left out.
std::string continue_frames(std::string_view raw, const AnswerIdentity& identity, std::uint32_t tokens);

/// The end of an answer whose text is complete; with a frame that says why, for the length, if `reason`.
std::string end_frames(const AnswerIdentity& identity, WireBody::Protocol protocol, bool reason);

}  // namespace autoglm::protocol::openai
