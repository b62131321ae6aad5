#include "gateway/protocol/anthropic/client_codec.h"

#include "gateway/protocol/anthropic/client_body.h"
#include "gateway/protocol/carried.h"
#include "gateway/protocol/object_stream.h"
#include "gateway/protocol/openai/frame_reader.h"
#include "gateway/protocol/openai/said_error.h"
#include "gateway/protocol/whole_answers.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace autoglm::protocol::anthropic {

namespace {

using openai::broken_answer;
using simdjson::dom::element;

constexpr std::uint64_t kMostBlocks = 4096;
constexpr std::size_t kMostTools = 1024;
constexpr int kOverloaded = 529;  // the API's own status

FinishReason finish_of(std::string_view reason) {
  if (reason == "max_tokens" || reason == "model_context_window_exceeded") return FinishReason::kLength;
  return reason == "tool_use" ? FinishReason::kToolCalls : FinishReason::kStop;
}

/// The events of `/v1/messages`, streamed.
class StreamReader final : public ObjectStreamReader {
 public:
  StreamReader() : ObjectStreamReader(Framing::kEvents) {}

 private:
  Result<void> take(const element& object, EventBatch& batch) override {
    const std::string type = text_at(object, "type");
    if (type == "error") {
      auto error = openai::error_in(object, "the endpoint ended the stream with an error");
      return fail(error ? std::move(*error) : broken_answer("the endpoint ended the stream with an error"));
    }
    element part;
    if (type == "message_start") {
      begun_ = true;
      if (object["message"]["usage"].get(part) == simdjson::SUCCESS) take_usage(part);
      return {};
    }
    if (type == "ping") return {};
    if (!begun_) return fail(broken_answer("the endpoint sent an event that is no part of an answer"));
    if (type == "content_block_start") return begin_block(object, batch);
    if (type == "content_block_delta") return take_delta(object, batch);
    if (type == "content_block_stop") return end_block(object, batch);
    if (type == "message_delta") {
      if (object["usage"].get(part) == simdjson::SUCCESS) take_usage(part);
      if (object["delta"].get(part) != simdjson::SUCCESS) return {};
      const std::string reason = text_at(part, "stop_reason");
      if (!reason.empty()) finish_ = finish_of(reason);
      if (reason == "stop_sequence") stop_ = text_at(part, "stop_sequence");
      return {};
    }
    if (type != "message_stop") return {};  // the API may add events
    if (!finish_) return fail(broken_answer("the endpoint ended its answer without a reason"));
    batch.events.push_back({.finish = finish_, .stop = stop_});
    batch.usage = usage_;
    return {};
  }

  /// Later numbers take the place of earlier ones; of these, some come once only.
  void take_usage(const element& said) {
    const auto read = [&](std::string_view key, std::uint32_t& count) {
      element number;
      if (said[key].get(number) == simdjson::SUCCESS && !number.is_null()) count = count_at(said, key);
    };
    read("input_tokens", input_);
    read("cache_read_input_tokens", cached_);
    read("cache_creation_input_tokens", created_);
    read("output_tokens", usage_.completion_tokens);
    usage_.cached_tokens = cached_;
    usage_.prompt_tokens = input_ + cached_ + created_;
  }

  Result<void> begin_block(const element& object, EventBatch& batch) {
    element block;
    std::uint64_t index = 0;
    if (object["content_block"].get(block) != simdjson::SUCCESS ||
        object["index"].get(index) != simdjson::SUCCESS || index >= kMostBlocks)
      return fail(broken_answer("the endpoint sent a part of its answer that is none"));
    const std::string type = text_at(block, "type");
    if (type == "text") say(text_at(block, "text"), batch);
    if (type == "thinking") think(text_at(block, "thinking"), batch);
    if (type != "tool_use") return {};  // a hidden thought, or a tool of the server's own
    if (tools_.size() >= kMostTools) return fail(broken_answer("the endpoint sent tool calls without end"));
    const auto number = static_cast<std::uint32_t>(tools_.size());
    tools_.push_back({.block = index, .number = number});
    TokenEvent& event = batch.events.emplace_back();
    event.tool_calls.push_back({.index = number, .id = text_at(block, "id"), .name = text_at(block, "name")});
    return {};
  }

  Result<void> take_delta(const element& object, EventBatch& batch) {
    element delta;
    if (object["delta"].get(delta) != simdjson::SUCCESS)
      return fail(broken_answer("the endpoint sent a part of its answer that is none"));
    const std::string type = text_at(delta, "type");
    if (type == "text_delta") say(text_at(delta, "text"), batch);
    if (type == "thinking_delta") think(text_at(delta, "thinking"), batch);
    if (type != "input_json_delta") return {};
    std::uint64_t index = 0;
    (void)object["index"].get(index);
    const auto tool = std::ranges::find(tools_, index, &Tool::block);
    if (tool == tools_.end()) return {};  // of a tool of the server's own
    std::string json = text_at(delta, "partial_json");
    if (json.empty()) return {};
    tool->has_arguments = true;
    TokenEvent& event = batch.events.emplace_back();
    event.tool_calls.push_back({.index = tool->number, .arguments = std::move(json)});
    return {};
  }

  /// A call without arguments has none of their JSON.
  Result<void> end_block(const element& object, EventBatch& batch) {
    std::uint64_t index = 0;
    (void)object["index"].get(index);
    const auto tool = std::ranges::find(tools_, index, &Tool::block);
    if (tool == tools_.end() || std::exchange(tool->has_arguments, true)) return {};
    TokenEvent& event = batch.events.emplace_back();
    event.tool_calls.push_back({.index = tool->number, .arguments = "{}"});
    return {};
  }

  static void say(std::string text, EventBatch& batch) {
    if (!text.empty()) batch.events.push_back({.text = std::move(text)});
  }
  static void think(std::string text, EventBatch& batch) {
    if (!text.empty()) batch.events.push_back({.reasoning = std::move(text)});
  }

  struct Tool {
    std::uint64_t block = 0;   // the index of its part of the answer
    std::uint32_t number = 0;  // among the calls
    bool has_arguments = false;
  };

  bool begun_ = false;
  std::vector<Tool> tools_;
  std::optional<FinishReason> finish_;
  std::string stop_;  // the sequence that ended the text
  Usage usage_;
  std::uint32_t input_ = 0;
  std::uint32_t cached_ = 0;
  std::uint32_t created_ = 0;
};

}  // namespace

std::vector<std::pair<std::string, std::string>> AnthropicClient::headers(std::string_view api_key) const {
  std::vector<std::pair<std::string, std::string>> headers = {{"anthropic-version", "2023-06-01"}};
  if (!api_key.empty()) headers.emplace_back("x-api-key", api_key);
  return headers;
}

Result<EndpointRequest> AnthropicClient::write(const InferenceRequest& request,
                                               const EndpointTerms& terms) const {
  if (std::holds_alternative<EmbedRequest>(request.work)) return fail(cannot_carry("input", name()));
  if (std::holds_alternative<ScoreRequest>(request.work)) return fail(cannot_carry("documents", name()));
  auto body = messages_body(request, terms, name());
  if (!body) return fail(std::move(body).error());
  return EndpointRequest{.to = {.path = "/v1/messages"}, .body = std::move(*body)};
}

std::unique_ptr<AnswerReader> AnthropicClient::reader(const InferenceRequest& /*request*/,
                                                      const EndpointTerms& /*terms*/) const {
  return std::make_unique<StreamReader>();
}

Error AnthropicClient::read_error(int status, std::string_view body,
                                  std::optional<std::chrono::seconds> retry_after) const {
  Error error = ClientCodec::read_error(status, body, retry_after);
  if (status == kOverloaded) error.code = ErrorCode::kUnavailable;
  return error;
}

}  // namespace autoglm::protocol::anthropic
