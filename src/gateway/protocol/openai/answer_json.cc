#include "gateway/protocol/openai/answer_json.h"

#include "base/json_string.h"

#include <fmt/format.h>

#include <iterator>

namespace autoglm::protocol::openai {

void append_usage(std::string& out, const Usage& usage) {
  fmt::format_to(
      std::back_inserter(out),
      R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{}}}}})",
      usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens + usage.completion_tokens,
      usage.cached_tokens);
}

void append_finish(std::string& out, const std::optional<FinishReason>& finish, std::string_view stop) {
  if (finish) {
    fmt::format_to(std::back_inserter(out), R"("finish_reason":"{}")", to_string(*finish));
  } else {
    out += R"("finish_reason":null)";
  }
  if (!finish || stop.empty()) return;
  out += R"(,"stop_reason":)";
  append_json_string(out, stop);
}

std::string answer_head(const AnswerFacts& facts, AnswerShape shape, bool stream) {
  const bool chat = shape == AnswerShape::kChat;
  std::string head = R"({"id":)";
  append_json_string(head, (chat ? "chatcmpl-" : "cmpl-") + facts.id);
  head += R"(,"object":")";
  head += !chat ? "text_completion" : stream ? "chat.completion.chunk" : "chat.completion";
  fmt::format_to(std::back_inserter(head), R"(","created":{},"model":)", facts.created);
  append_json_string(head, facts.model);
  if (!facts.fingerprint.empty()) {
    head += R"(,"system_fingerprint":)";
    append_json_string(head, facts.fingerprint);
  }
  return head;
}

void append_tool_call(std::string& out, const ToolCallDelta& call) {
  out += R"("function":{)";
  if (!call.name.empty()) {
    out += R"("name":)";
    append_json_string(out, call.name);
    out += ',';
  }
  out += R"("arguments":)";
  append_json_string(out, call.arguments);
  out += '}';
}

void append_token_ids(std::string& out, const std::vector<TokenId>& tokens) {
  fmt::format_to(std::back_inserter(out), R"("token_ids":[{}])", fmt::join(tokens, ","));
}

}  // namespace autoglm::protocol::openai
