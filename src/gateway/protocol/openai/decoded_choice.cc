#include "gateway/protocol/openai/decoded_choice.h"

#include "gateway/protocol/openai/frame_reader.h"

#include <limits>
#include <string>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

using simdjson::dom::element;

constexpr std::uint64_t kMostToolCalls = 1024;  // encoders make a place for each number below the largest
constexpr std::size_t kMostTop = 64;

std::string member_text(const element& object, std::string_view key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

/// The arguments of a call are a text; some servers send the object itself.
std::string arguments_at(const element& function) {
  element said;
  if (function["arguments"].get(said) != simdjson::SUCCESS || said.is_null()) return {};
  std::string_view text;
  return said.get(text) == simdjson::SUCCESS ? std::string(text) : std::string(simdjson::minify(said));
}

Result<void> decode_tool_calls(const element& delta, TokenEvent& event) {
  event.tool_calls.clear();
  simdjson::dom::array calls;
  if (delta["tool_calls"].get(calls) != simdjson::SUCCESS) return {};
  std::uint64_t place = 0;
  for (const element call : calls) {
    std::uint64_t index = place++;  // some servers leave it out
    if (call["index"].get(index) == simdjson::INCORRECT_TYPE || index >= kMostToolCalls)
      return fail(broken_answer("the endpoint sent a tool call with a wrong index"));
    ToolCallDelta& read = event.tool_calls.emplace_back(
        ToolCallDelta{.index = static_cast<std::uint32_t>(index), .id = member_text(call, "id")});
    element function;
    if (call["function"].get(function) != simdjson::SUCCESS) continue;
    read.name = member_text(function, "name");
    read.arguments = arguments_at(function);
  }
  return {};
}

double logprob_at(const element& token, std::string_view key) {
  double logprob = std::numeric_limits<double>::quiet_NaN();
  (void)token[key].get(logprob);
  return logprob;
}

/// A token of chat's form: its text, and its bytes where they are told.
TokenLogprob chat_token(const element& said) {
  TokenLogprob token{.token = -1, .logprob = logprob_at(said, "logprob")};
  simdjson::dom::array bytes;
  if (said["bytes"].get(bytes) != simdjson::SUCCESS) {
    token.bytes = member_text(said, "token");
    return token;
  }
  for (const element byte : bytes) {
    std::uint64_t value = 0;
    if (byte.get(value) == simdjson::SUCCESS && value < 256) token.bytes += static_cast<char>(value);
  }
  return token;
}

/// Numbers the likeliest tokens: the chosen one by its id, others by negative numbers.
void settle(GeneratedLogprob& logprob) {
  TokenId next = -2;
  std::uint32_t rank = 1;
  for (TokenLogprob& token : logprob.top) {
    token.rank = rank++;
    const bool chosen = token.bytes == logprob.chosen.bytes;
    token.token = chosen ? logprob.chosen.token : next--;
    if (chosen) logprob.chosen.rank = token.rank;
  }
}

void decode_chat_logprobs(const simdjson::dom::array& content, TokenEvent& event) {
  for (const element said : content) {
    GeneratedLogprob& logprob = event.logprobs.emplace_back(GeneratedLogprob{.chosen = chat_token(said)});
    simdjson::dom::array top;
    if (said["top_logprobs"].get(top) != simdjson::SUCCESS) continue;
    for (const element token : top) {
      if (logprob.top.size() < kMostTop) logprob.top.push_back(chat_token(token));
    }
  }
}

/// Completions' form: parallel lists.
void decode_completion_logprobs(const element& logprobs, TokenEvent& event) {
  simdjson::dom::array tokens;
  if (logprobs["tokens"].get(tokens) != simdjson::SUCCESS) return;
  for (const element token : tokens) {
    std::string_view text;
    (void)token.get(text);
    event.logprobs.push_back({.chosen = {.token = -1, .bytes = std::string(text)}});
  }
  const auto for_each = [&](std::string_view key, const auto& take) {
    simdjson::dom::array values;
    if (logprobs[key].get(values) != simdjson::SUCCESS) return;
    std::size_t at = 0;
    for (const element value : values) {
      if (at == event.logprobs.size()) break;
      take(value, event.logprobs[at++]);
    }
  };
  for_each("token_logprobs", [](const element& value, GeneratedLogprob& logprob) {
    if (value.get(logprob.chosen.logprob) != simdjson::SUCCESS)
      logprob.chosen.logprob = std::numeric_limits<double>::quiet_NaN();
  });
  for_each("text_offset", [](const element& value, GeneratedLogprob& logprob) {
    std::uint64_t offset = 0;
    if (value.get(offset) == simdjson::SUCCESS) logprob.offset = offset;
  });
  for_each("top_logprobs", [](const element& value, GeneratedLogprob& logprob) {
    simdjson::dom::object top;
    if (value.get(top) != simdjson::SUCCESS) return;
    for (const auto [token, said] : top) {
      double number = 0;
      if (said.get(number) == simdjson::SUCCESS && logprob.top.size() < kMostTop)
        logprob.top.push_back({.token = -1, .logprob = number, .bytes = std::string(token)});
    }
  });
}

}  // namespace

Result<void> decode_choice(const element& choice, TokenEvent& event) {
  element delta;
  if (choice["delta"].get(delta) == simdjson::SUCCESS) {
    if (auto calls = decode_tool_calls(delta, event); !calls) return calls;
    event.text += member_text(delta, "refusal");  // OpenAI's word for an answer that refuses
  }
  element logprobs;
  if (choice["logprobs"].get(logprobs) == simdjson::SUCCESS && logprobs.is_object()) {
    simdjson::dom::array content;
    if (logprobs["content"].get(content) == simdjson::SUCCESS) {
      decode_chat_logprobs(content, event);
    } else {
      decode_completion_logprobs(logprobs, event);
    }
  }
  for (std::size_t i = 0; i < event.logprobs.size(); ++i) {
    if (i < event.tokens.size()) event.logprobs[i].chosen.token = event.tokens[i];
    settle(event.logprobs[i]);
  }
  return {};
}

}  // namespace autoglm::protocol::openai
