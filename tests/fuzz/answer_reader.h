#pragma once

#include "codec.h"
#include "gateway/protocol/client_codec.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace autoglm::fuzzing {

/// What an answer says, however it came.
struct SaidAnswer {
  std::string text;  ///< of all choices, with reasoning and tool calls
  std::string error;
  bool complete = false;
  bool operator==(const SaidAnswer&) const = default;
};

inline void note(const EventBatch& batch, std::uint32_t choices, SaidAnswer& said) {
  for (const TokenEvent& event : batch.events) {
    expect(event.choice < choices, "an event is of a choice that was asked for");
    said.text += event.reasoning + event.text;
    for (const ToolCallDelta& call : event.tool_calls) {
      expect(call.index < 1024, "encoders make a place for each tool call below the largest");
      said.text += call.id + call.name + call.arguments;
    }
    if (event.finish) said.text += to_string(*event.finish);
  }
  if (batch.answer != nullptr) said.text += std::to_string(batch.answer->index());
}

/// Reads an answer in pieces of `step` bytes.
inline SaidAnswer read_answer(const protocol::ClientCodec& codec, const InferenceRequest& request,
                              std::string_view bytes, std::size_t step) {
  const auto reader = codec.reader(request, {});
  const std::uint32_t choices = request.generation() == nullptr ? 1 : request.generation()->choices();
  SaidAnswer said;
  std::string buffer;
  for (std::size_t at = 0;; at += step) {
    const bool over = at >= bytes.size();
    if (!over) buffer += bytes.substr(at, step);
    EventBatch batch;
    const auto read = reader->read(buffer, over, batch);
    note(batch, choices, said);
    if (!read) {
      said.error = read.error().message;
      expect(simdjson::validate_utf8(said.error), "what an endpoint says is text before it is said again");
      return said;
    }
    if (batch.last()) said.complete = true;
    if (batch.last() || over) break;
  }
  expect(said.complete, "an answer ends, or an error says why not");
  return said;
}

/// The first byte says how the others are cut.
inline void check_answer(const protocol::ClientCodec& codec, const InferenceRequest& request,
                         std::string_view bytes) {
  if (bytes.empty()) return;
  const std::size_t step = 1 + static_cast<unsigned char>(bytes.front()) % 64U;
  bytes.remove_prefix(1);
  const SaidAnswer whole = read_answer(codec, request, bytes, std::max<std::size_t>(bytes.size(), 1));
  expect(read_answer(codec, request, bytes, step) == whole, "an answer is the same however it is cut");
}

inline InferenceRequest asked(Work work) {
  return {.id = "r", .model = "m", .work = std::move(work), .wire = {}};
}

}  // namespace autoglm::fuzzing
