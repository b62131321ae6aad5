#pragma once

#include "codec.h"

#include <memory>
#include <string>
#include <string_view>

namespace autoglm::fuzzing {

/// How a streamed answer is cut.
enum class Frames { kLines, kEvents };

inline void check_frames(std::string_view out, Frames frames) {
  const std::string_view end = frames == Frames::kLines ? "\n" : "\n\n";
  while (!out.empty()) {
    const std::size_t size = out.find(end);
    expect(size != std::string_view::npos, "a frame has an end");
    std::string_view frame = out.substr(0, size);
    if (frames == Frames::kEvents) {
      expect(frame.starts_with("data: "), "a frame has data");
      frame.remove_prefix(6);
    }
    expect(is_json(frame), "a frame is JSON");
    out.remove_prefix(size + end.size());
  }
}

/// The answer's one batch: events for texts, tool calls included, or a vector.
inline EventBatch batch_of(const Work& work) {
  EventBatch batch;
  if (std::holds_alternative<EmbedRequest>(work)) {
    batch.answer = std::make_shared<const WholeAnswer>(EmbedResult{{{0.5F, -1e-30F}}});
    return batch;
  }
  const auto& generation = std::get<GenerateRequest>(work);
  for (std::uint32_t i = 0; i < generation.choices() && i < 4; ++i) {
    batch.events.push_back({.choice = i,
                            .tokens = {7},
                            .text = "\"\n\xe4\xbd\xa0",
                            .reasoning = "\t",
                            .tool_calls = {{.name = "f", .arguments = "{\"a\":\n1"}},
                            .logprobs = {{.chosen = {.token = 7, .logprob = -1, .bytes = "\xff"}}},
                            .finish = FinishReason::kStop});
  }
  return batch;
}

/// As `decode_and_answer`, for codecs that leave no refusal to an endpoint. `json_size`: where set, the part
/// of an answer that is JSON.
inline void decode_and_answer_in(const protocol::Codec& codec, std::string_view body, Frames frames,
                                 std::size_t* json_size = nullptr) {
  const auto call = codec.decode(body);
  if (!call) {
    const Error& error = call.error();
    expect(error.code == ErrorCode::kInvalidArgument, "a body is refused as the client's mistake");
    expect(!error.message.empty() && simdjson::validate_utf8(error.message), "a reason is text");
    expect(is_json(codec.error_body(error)), "an error is JSON");
    return;
  }
  if (const GenerateRequest* work = call->generation()) {
    expect(!work->refusal, "what cannot be done is refused here");
    expect(!work->prompts.empty() && work->choices() >= 1, "there is something to do");
  }
  const auto encoder = call->make_encoder({.id = "id\"", .model = "m\\", .created = 1});
  if (json_size != nullptr) *json_size = 0;
  std::string out;
  if (!call->asks_nothing) encoder->events(batch_of(call->work), out);
  encoder->end({.prompt_tokens = 3, .completion_tokens = 1}, out);
  if (call->stream && !call->asks_nothing) {
    check_frames(out, frames);
  } else {
    const bool cut = json_size != nullptr && *json_size > 0;
    expect(is_json(cut ? std::string_view(out).substr(0, *json_size) : out), "an answer is a JSON document");
  }
}

}  // namespace autoglm::fuzzing
