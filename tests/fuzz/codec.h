#pragma once

#include "fuzzing.h"
#include "gateway/protocol/codec.h"

#include <simdjson.h>

#include <string>
#include <utility>

namespace autoglm::fuzzing {

inline bool is_json(std::string_view text) {
  thread_local simdjson::dom::parser parser;
  return parser.parse(simdjson::padded_string(text)).error() == simdjson::SUCCESS;
}

/// Decodes a body. A refusal must be valid UTF-8 and say why; an accepted call is answered with an event and
/// an end, whose frames or document must be JSON.
inline void decode_and_answer(const protocol::Codec& codec, std::string_view body, bool sse) {
  auto call = codec.decode(body);
  if (!call) {
    const Error& error = call.error();
    expect(error.code == ErrorCode::kInvalidArgument, "a body is refused as the client's mistake");
    expect(!error.message.empty() && simdjson::validate_utf8(error.message), "a reason is text");
    return;
  }
  const GenerateRequest& work = *call->generation();
  if (work.refusal) {
    const Error& error = *work.refusal;
    expect(error.code == ErrorCode::kInvalidArgument && !error.param.empty(),
           "what an engine refuses is a field");
    expect(!error.message.empty() && simdjson::validate_utf8(error.message), "a reason is text");
  }
  if (work.format.kind != OutputFormat::Kind::kText)
    expect(!work.format.field().empty() && simdjson::validate_utf8(work.format.definition),
           "a format is text");
  expect(!work.prompts.empty() && work.n >= 1 && work.choices() >= 1, "there is something to do");
  const auto encoder = call->make_encoder({.id = "id\"", .model = "m\\", .created = 1});
  std::string out;
  EventBatch batch;
  for (std::uint32_t i = 0; i < work.choices() && i < 4; ++i) {
    batch.events.push_back(
        {.choice = i, .index = 0, .tokens = {7}, .text = "\"\n\xe4\xbd\xa0", .finish = FinishReason::kStop});
  }
  encoder->events(batch, out);
  encoder->end({.prompt_tokens = 3, .completion_tokens = 1}, out);
  if (!call->stream) {
    expect(is_json(out), "an answer is a JSON document");
    return;
  }
  if (!sse) return;
  for (std::size_t at = 0; at < out.size();) {
    const std::size_t end = out.find("\n\n", at);
    expect(end != std::string::npos, "a frame has an end");
    const std::string_view frame = std::string_view(out).substr(at, end - at);
    const std::size_t data = frame.find("data: ");
    expect(data != std::string_view::npos, "a frame has data");
    const std::string_view json = frame.substr(data + 6);
    expect(json == "[DONE]" || is_json(json), "a frame is JSON");
    at = end + 2;
  }
}

}  // namespace autoglm::fuzzing
