#include "gateway/admission/token_estimate.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <variant>

namespace autoglm::gateway {

namespace {

constexpr std::uint64_t kAsciiBytes = 3;  // of a token; four are usual in English, fewer in code
constexpr std::uint64_t kOfText = 2;      // the tokens that begin and end a text
constexpr std::uint64_t kOfData = 1024;   // what most models make of an image
constexpr std::uint64_t kOfMessage = 4;   // a template's words around each message

std::uint64_t tokens_of(std::string_view text) {
  std::uint64_t ascii = 0;
  std::uint64_t characters = 0;
  while (!text.empty()) {
    // Counted in bytes, of which the compiler makes a vector: a prompt may have megabytes.
    const std::string_view block = text.substr(0, std::numeric_limits<std::uint8_t>::max());
    std::uint8_t ascii_here = 0;
    std::uint8_t begun_here = 0;
    for (const char each : block) {
      const auto byte = static_cast<std::uint8_t>(each);
      ascii_here = static_cast<std::uint8_t>(ascii_here + (byte < 0x80 ? 1 : 0));
      begun_here = static_cast<std::uint8_t>(begun_here + (byte >= 0xc0 ? 1 : 0));
    }
    ascii += ascii_here;
    characters += begun_here;
    text.remove_prefix(block.size());
  }
  return (ascii + kAsciiBytes - 1) / kAsciiBytes + characters;
}

/// Of a body that only an endpoint understands. What stands in it as data (an image, a sound) is no text.
std::uint64_t tokens_of_body(std::string_view body) {
  constexpr std::string_view kData = "\"data:";
  std::uint64_t sum = 0;
  while (true) {
    const std::size_t begin = body.find(kData);
    sum += tokens_of(body.substr(0, begin));
    if (begin == std::string_view::npos) return sum;
    sum += kOfData;
    const std::size_t end = body.find('"', begin + kData.size());
    if (end == std::string_view::npos) return sum;
    body.remove_prefix(end);
  }
}

std::uint64_t tokens_of(const ChatPrompt& chat) {
  std::uint64_t sum = kOfText;
  for (const ChatMessage& message : chat.messages) {
    sum += kOfMessage + tokens_of(message.content) + tokens_of(message.reasoning);
    for (const ToolCall& call : message.tool_calls) sum += tokens_of(call.name) + tokens_of(call.arguments);
  }
  for (const Tool& tool : chat.tools)
    sum += kOfMessage + tokens_of(tool.name) + tokens_of(tool.description) + tokens_of(tool.parameters);
  return sum;
}

std::uint64_t tokens_of(const Prompt& prompt) {
  if (const auto* text = std::get_if<TextPrompt>(&prompt))
    return kOfText + tokens_of(text->text) + tokens_of(text->suffix);
  if (const auto* tokens = std::get_if<TokenPrompt>(&prompt)) return tokens->tokens.size();
  return tokens_of(std::get<ChatPrompt>(prompt));
}

}  // namespace

TokenEstimate estimate_tokens(const InferenceRequest& request) {
  TokenEstimate estimate;
  if (const GenerateRequest* work = request.generation()) {
    for (const Prompt& prompt : work->prompts) estimate.prompt += tokens_of(prompt);
    if (const auto most = work->stop.max_tokens) {
      estimate.bounded = std::uint64_t{*most} * work->choices();
    } else {
      estimate.unbounded = work->choices();
    }
  } else if (const auto* embed = std::get_if<EmbedRequest>(&request.work)) {
    for (const Prompt& input : embed->inputs) estimate.prompt += tokens_of(input);
  } else if (const auto* score = std::get_if<ScoreRequest>(&request.work)) {
    for (const std::string& document : score->documents) estimate.prompt += kOfText + tokens_of(document);
    std::uint64_t queries = 0;
    for (const std::string& query : score->queries) queries += tokens_of(query);
    // One query is read again with each document.
    estimate.prompt += score->queries.size() == 1 ? queries * score->documents.size() : queries;
  } else if (request.wire.protocol != WireBody::Protocol::kPassed) {  // which may be a sound
    estimate = {.prompt = tokens_of_body(request.wire.bytes), .unbounded = 1};
  }
  return estimate;
}

}  // namespace autoglm::gateway
