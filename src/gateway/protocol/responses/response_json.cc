#include "gateway/protocol/responses/response_json.h"

#include "base/json_string.h"
#include "gateway/protocol/responses/responses_codec.h"

#include <fmt/format.h>

#include <iterator>

namespace autoglm::protocol::responses {

namespace {

using Kind = AnswerBlock::Kind;

void append_usage(std::string& out, const ResponseState& state) {
  if (state.usage == nullptr) {
    out += "null";
    return;
  }
  const Usage& usage = *state.usage;
  fmt::format_to(
      std::back_inserter(out),
      R"({{"input_tokens":{},"input_tokens_details":{{"cached_tokens":{}}},"output_tokens":{},"output_tokens_details":{{"reasoning_tokens":{}}},"total_tokens":{}}})",
      usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, state.reasoning_tokens,
      usage.prompt_tokens + usage.completion_tokens);
}

/// OpenAI's words for what can go wrong in the middle of an answer.
std::string_view failure_code(ErrorCode code) {
  if (code == ErrorCode::kResourceExhausted) return "rate_limit_exceeded";
  return code == ErrorCode::kInvalidArgument ? "invalid_prompt" : "server_error";
}

}  // namespace

void append_part(std::string& out, const OutputItem& item) {
  if (item.block.kind == Kind::kText) {
    out.append(R"({"type":"output_text","annotations":[],"logprobs":[)").append(item.logprobs).append("],");
  } else {
    out += R"({"type":"reasoning_text",)";
  }
  out += R"("text":)";
  append_json_string(out, item.block.text);
  out += '}';
}

void append_item(std::string& out, const OutputItem& item, std::string_view status) {
  const AnswerBlock& block = item.block;
  out += R"({"id":)";
  append_json_string(out, item.id);
  out += block.kind == Kind::kText        ? R"(,"type":"message","role":"assistant")"
         : block.kind == Kind::kReasoning ? R"(,"type":"reasoning","summary":[])"
                                          : R"(,"type":"function_call")";
  out.append(R"(,"status":")").append(status).append("\"");
  if (block.kind == Kind::kToolCall) {
    out += R"(,"call_id":)";
    append_json_string(out, block.id);
    out += R"(,"name":)";
    append_json_string(out, block.name);
    out += R"(,"arguments":)";
    append_json_string(out, status == "in_progress" ? std::string_view() : std::string_view(block.text));
  } else {
    out += R"(,"content":[)";
    if (status != "in_progress") append_part(out, item);
    out += ']';
  }
  out += '}';
}

void append_response(std::string& out, const AnswerFacts& facts, const Echo& echo,
                     const ResponseState& state) {
  const auto member = [&out](std::string_view name, std::string_view json) {
    out.append(",\"").append(name).append("\":").append(json);
  };
  out += R"({"id":)";
  append_json_string(out, response_id(facts.id));
  fmt::format_to(std::back_inserter(out),
                 R"(,"object":"response","created_at":{},"status":"{}","background":false,"error":)",
                 facts.created, state.status);
  if (state.error == nullptr) {
    out += "null";
  } else {
    fmt::format_to(std::back_inserter(out), R"({{"code":"{}","message":)", failure_code(state.error->code));
    append_json_string(out, state.error->message);
    out += '}';
  }
  member("incomplete_details",
         state.incomplete.empty() ? "null" : fmt::format(R"({{"reason":"{}"}})", state.incomplete));
  member("instructions", echo.instructions);
  member("max_output_tokens", echo.max_output_tokens);
  member("model", json_string(facts.model));
  out += R"(,"output":[)";
  for (std::size_t i = 0; state.items != nullptr && i < state.items->size(); ++i) {
    if (i > 0) out += ',';
    append_item(out, (*state.items)[i], i + 1 == state.items->size() ? state.last_status : "completed");
  }
  out += ']';
  member("parallel_tool_calls", echo.parallel_tool_calls);
  member("previous_response_id", echo.previous_response_id);
  member("reasoning", echo.reasoning);
  member("service_tier", R"("default")");
  member("store", echo.store);
  member("temperature", echo.temperature);
  member("text", echo.text);
  member("tool_choice", echo.tool_choice);
  member("tools", echo.tools);
  member("top_logprobs", echo.top_logprobs);
  member("top_p", echo.top_p);
  member("truncation", echo.truncation);
  out += R"(,"usage":)";
  append_usage(out, state);
  member("user", echo.user);
  member("metadata", echo.metadata);
  out += '}';
}

}  // namespace autoglm::protocol::responses
