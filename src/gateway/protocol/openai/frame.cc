#include "gateway/protocol/openai/frame.h"

#include "gateway/protocol/status.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>

namespace autoglm::protocol::openai {

namespace {

using simdjson::dom::element;

constexpr std::string_view kUsageComment = ": usage ";

std::string text_at(const element& object, std::string_view key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::uint32_t number_at(const element& object, std::string_view key) {
  std::uint64_t number = 0;
  (void)object[key].get(number);
  return static_cast<std::uint32_t>(number);
}

Usage usage_of(const element& object) {
  Usage usage{.prompt_tokens = number_at(object, "prompt_tokens"),
              .completion_tokens = number_at(object, "completion_tokens")};
  element details;
  if (object["prompt_tokens_details"].get(details) == simdjson::SUCCESS)
    usage.cached_tokens = number_at(details, "cached_tokens");
  return usage;
}

TokenEvent event_of(const element& choice, bool& has_tokens) {
  TokenEvent event{.choice = number_at(choice, "index"), .text = text_at(choice, "text")};
  element part;
  if (choice["delta"].get(part) == simdjson::SUCCESS) {
    event.text = text_at(part, "content");
    event.reasoning = text_at(part, "reasoning_content");
    if (event.reasoning.empty()) event.reasoning = text_at(part, "reasoning");  // newer vLLM
    simdjson::dom::array calls;
    if (part["tool_calls"].get(calls) == simdjson::SUCCESS && calls.begin() != calls.end())
      event.tool_calls.emplace_back();
  }
  simdjson::dom::array tokens;
  if (choice["token_ids"].get(tokens) == simdjson::SUCCESS) {
    has_tokens = true;
    for (const element token : tokens) {
      std::int64_t id = 0;
      if (token.get(id) == simdjson::SUCCESS) event.tokens.push_back(static_cast<TokenId>(id));
    }
  }
  const std::string reason = text_at(choice, "finish_reason");
  if (!reason.empty()) {
    event.finish = reason == "length"       ? FinishReason::kLength
                   : reason == "tool_calls" ? FinishReason::kToolCalls
                                            : FinishReason::kStop;
  }
  return event;
}

/// Valid until the thread parses again.
Result<element> parse(std::string_view json, const char* or_else) {
  thread_local simdjson::dom::parser parser;
  element document;
  if (parser.parse(json.data(), json.size()).get(document) == simdjson::SUCCESS && document.is_object())
    return document;
  return fail(Error{.code = ErrorCode::kBadGateway,
                    .origin = Origin::kEndpoint,
                    .retry = Retry::kElsewhere,
                    .message = or_else,
                    .reason = "bad_stream"});
}

/// An error behind a status that said all is well. The request's own, by the type that OpenAI and
/// llama-server give it, or vLLM: others would say the same.
Error said_error(const element& said, const char* or_else) {
  Error error{.code = ErrorCode::kBadGateway,
              .origin = Origin::kEndpoint,
              .retry = Retry::kElsewhere,
              .message = or_else,
              .reason = "endpoint_failed"};
  if (!said.is_object()) return error;
  if (std::string message = text_at(said, "message"); !message.empty()) error.message = std::move(message);
  const std::string type = text_at(said, "type");
  if (type != "invalid_request_error" && type != "BadRequestError") return error;
  error.code = ErrorCode::kInvalidArgument;
  error.origin = Origin::kClient;
  error.retry = Retry::kNever;
  error.param = text_at(said, "param");
  error.reason = text_at(said, "code");
  return error;
}

ErrorCode code_of(int status) {
  switch (status) {
    case 404:
      return ErrorCode::kNotFound;
    case 413:
      return ErrorCode::kPayloadTooLarge;
    case 422:
      return ErrorCode::kUnprocessable;
    case 429:
      return ErrorCode::kResourceExhausted;
    case 503:
      return ErrorCode::kUnavailable;
    case 504:
      return ErrorCode::kDeadlineExceeded;
    default:
      return status >= 400 && status < 500 ? ErrorCode::kInvalidArgument : ErrorCode::kBadGateway;
  }
}

}  // namespace

Result<Frame> read_frame(std::string_view json) {
  const auto document = parse(json, "the endpoint sent an event that is no JSON object");
  if (!document) return fail(document.error());
  Frame frame;
  element part;
  if ((*document)["error"].get(part) == simdjson::SUCCESS && !part.is_null()) {
    frame.error = said_error(part, "the endpoint ended the stream with an error");
    return frame;
  }
  simdjson::dom::array choices;
  if ((*document)["choices"].get(choices) == simdjson::SUCCESS) {
    for (const element choice : choices) frame.events.push_back(event_of(choice, frame.has_tokens));
  }
  if ((*document)["usage"].get(part) == simdjson::SUCCESS && part.is_object()) frame.usage = usage_of(part);
  return frame;
}

Result<Usage> read_answer(std::string_view json) {
  const auto document = parse(json, "the endpoint sent an answer that is no JSON object");
  if (!document) return fail(document.error());
  Usage usage;
  for (const auto [key, part] : simdjson::dom::object(*document)) {
    if (key == "error" && !part.is_null())
      return fail(said_error(part, "the endpoint answered with an error"));
    if (key == "usage" && part.is_object()) usage = usage_of(part);
  }
  return usage;
}

Error read_error(int status, std::string_view body, std::string_view retry_after) {
  Error error{.code = code_of(status), .origin = Origin::kEndpoint, .retry = Retry::kElsewhere};
  element part;
  const auto document = parse(body, "");
  if (document && (*document)["error"].get(part) == simdjson::SUCCESS && part.is_object()) {
    error.message = text_at(part, "message");
    error.param = text_at(part, "param");
    error.reason = text_at(part, "code");
  }
  if (error.message.empty()) error.message = fmt::format("the endpoint answered with status {}", status);
  if (status == 401 || status == 403) {  // our key, not the client's
    error.code = ErrorCode::kBadGateway;
    error.message = fmt::format("the endpoint refused the gateway's api_key with status {}", status);
  } else if (status >= 400 && status < 500 && status != 429 && status != 408) {
    error.origin = Origin::kClient;
    error.retry = Retry::kNever;
  }
  std::int64_t seconds = 0;
  const auto [end, parsed] =
      std::from_chars(retry_after.data(), retry_after.data() + retry_after.size(), seconds);
  if (parsed == std::errc() && end == retry_after.data() + retry_after.size() && seconds >= 0)
    error.retry_after = std::chrono::seconds(seconds);
  return error;
}

std::string_view next_frame(std::string_view bytes, std::size_t begin) {
  for (std::size_t at = begin; (at = bytes.find('\n', at)) != std::string_view::npos; ++at) {
    std::size_t end = at + 1;
    if (end < bytes.size() && bytes[end] == '\r') ++end;
    if (end < bytes.size() && bytes[end] == '\n') return bytes.substr(begin, end + 1 - begin);
  }
  return {};
}

std::optional<std::string_view> frame_data(std::string_view frame) {
  while (!frame.empty()) {
    const std::size_t end = frame.find('\n');
    std::string_view line = frame.substr(0, end);
    frame = end == std::string_view::npos ? std::string_view() : frame.substr(end + 1);
    if (!line.starts_with("data:")) continue;
    line.remove_prefix(5);
    if (line.starts_with(' ')) line.remove_prefix(1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }
  return std::nullopt;
}

std::string usage_comment(const Usage& usage) {
  return fmt::format("{}{} {} {}\n\n", kUsageComment, usage.prompt_tokens, usage.cached_tokens,
                     usage.completion_tokens);
}

std::optional<Usage> read_usage_comment(std::string_view frame) {
  if (!frame.starts_with(kUsageComment)) return std::nullopt;
  frame.remove_prefix(kUsageComment.size());
  Usage usage;
  for (std::uint32_t* count : {&usage.prompt_tokens, &usage.cached_tokens, &usage.completion_tokens}) {
    const auto [end, error] = std::from_chars(frame.data(), frame.data() + frame.size(), *count);
    if (error != std::errc()) return std::nullopt;
    frame.remove_prefix(static_cast<std::size_t>(end - frame.data()));
    if (frame.starts_with(' ')) frame.remove_prefix(1);
  }
  return usage;
}

}  // namespace autoglm::protocol::openai
