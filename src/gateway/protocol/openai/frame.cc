#include "gateway/protocol/openai/frame.h"

#include "gateway/protocol/openai/decoded_choice.h"
#include "gateway/protocol/openai/said_error.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <memory>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

using simdjson::dom::element;

constexpr std::string_view kUsageComment = ": usage ";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// The first line feed or carriage return from `at` on. Looks a little ahead at a time: a stream may use one
/// of them alone, and looking for the other to its end at each line would take the square of its length.
std::size_t end_of_line(std::string_view bytes, std::size_t at) {
  constexpr std::size_t kAhead = 4096;
  for (; at < bytes.size(); at += kAhead) {
    const std::string_view near = bytes.substr(at, kAhead);
    const std::size_t feed = near.find('\n');
    const std::size_t end = std::min(near.substr(0, feed).find('\r'), feed);
    if (end != std::string_view::npos) return at + end;
  }
  return std::string_view::npos;
}

/// Takes the first line out of `rest`, and returns it without its end.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = end_of_line(rest, 0);
  const std::string_view line = rest.substr(0, end);
  if (end == std::string_view::npos) {
    rest = {};
  } else {
    rest.remove_prefix(end + (rest.substr(end).starts_with("\r\n") ? 2 : 1));
  }
  return line;
}

Error bad_stream(const char* what) {
  return {.code = ErrorCode::kBadGateway,
          .origin = Origin::kEndpoint,
          .retry = Retry::kElsewhere,
          .message = what,
          .reason = "bad_stream"};
}

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

/// The index of a choice; kNoChoice where it is no number in range.
std::uint32_t index_of(const element& choice) {
  constexpr std::uint32_t kNoChoice = std::numeric_limits<std::uint32_t>::max();
  element said;
  if (choice["index"].get(said) != simdjson::SUCCESS || said.is_null()) return 0;
  std::uint64_t index = 0;
  return said.get(index) == simdjson::SUCCESS && index < kNoChoice ? static_cast<std::uint32_t>(index)
                                                                   : kNoChoice;
}

TokenEvent event_of(const element& choice, bool& has_tokens) {
  TokenEvent event{.choice = index_of(choice), .text = text_at(choice, "text")};
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
    event.stop = text_at(choice, "stop_reason");  // vLLM's and ours
  }
  return event;
}

constexpr std::size_t kSmall = std::size_t{1} << 20U;  // beyond which a kept parser must not grow
// In one frame. No request that this gateway reads asks for more choices, and the event of a choice that is
// sent as `{}` takes a hundred times the memory of these two bytes.
constexpr std::size_t kMostChoices = std::size_t{1} << 15U;

/// Valid until `parser` parses again.
Result<element> parse(simdjson::dom::parser& parser, std::string_view json, const char* or_else) {
  element document;
  if (parser.parse(json.data(), json.size()).get(document) == simdjson::SUCCESS && document.is_object())
    return document;
  return fail(bad_stream(or_else));
}

/// Valid until the thread parses again.
Result<element> parse(std::string_view json, const char* or_else) {
  thread_local simdjson::dom::parser parser;
  return parse(parser, json, or_else);
}

/// Whether a choice says anything but the role. Unknown members count.
bool says_more(const element& choice) {
  const auto is_empty = [](const element& value) {
    std::string_view text;
    simdjson::dom::array items;
    return value.is_null() || (value.get(text) == simdjson::SUCCESS && text.empty()) ||
           (value.get(items) == simdjson::SUCCESS && items.begin() == items.end());
  };
  simdjson::dom::object members;
  if (choice.get(members) != simdjson::SUCCESS) return false;
  for (const auto [key, value] : members) {
    if (key == "index" || is_empty(value)) continue;
    simdjson::dom::object delta;
    if (key != "delta" || value.get(delta) != simdjson::SUCCESS) return true;
    for (const auto [name, part] : delta) {
      if (name != "role" && !is_empty(part)) return true;
    }
  }
  return false;
}

Error no_choice() { return bad_stream("the endpoint sent an answer without any choice"); }

}  // namespace

Result<Frame> read_frame(std::string_view json, bool decodes) {
  const auto document = parse(json, "the endpoint sent an event that is no JSON object");
  if (!document) return fail(document.error());
  Frame frame;
  simdjson::dom::array choices;
  frame.is_chunk = (*document)["choices"].get(choices) == simdjson::SUCCESS;
  if (frame.is_chunk) {
    for (const element choice : choices) {
      if (frame.events.size() == kMostChoices)
        return fail(bad_stream("the endpoint sent choices without end"));
      frame.events.push_back(event_of(choice, frame.has_tokens));
      frame.says |= says_more(choice);
      if (!decodes) continue;
      if (auto decoded = decode_choice(choice, frame.events.back()); !decoded)
        return fail(std::move(decoded).error());
    }
  }
  element part;
  if ((*document)["error"].get(part) == simdjson::SUCCESS || !frame.is_chunk) {
    frame.error = error_in(*document, "the endpoint ended the stream with an error");
    if (frame.error) return frame;
  }
  if ((*document)["usage"].get(part) == simdjson::SUCCESS && part.is_object()) frame.usage = usage_of(part);
  frame.is_chunk |= frame.usage.has_value();
  return frame;
}

Result<Usage> read_answer(std::string_view json) {
  constexpr const char* kNone = "the endpoint sent an answer that is no JSON object";
  simdjson::dom::parser large;
  const auto document = json.size() <= kSmall ? parse(json, kNone) : parse(large, json, kNone);
  if (!document) return fail(document.error());
  Usage usage;
  bool has_error = false;
  bool has_choice = false;
  for (const auto [key, part] : simdjson::dom::object(*document)) {
    has_error |= key == "error";
    simdjson::dom::array choices;
    if (key == "choices" && part.get(choices) == simdjson::SUCCESS)
      has_choice = choices.begin() != choices.end();
    if (key == "usage" && part.is_object()) usage = usage_of(part);
  }
  if (has_error || !has_choice) {
    if (auto error = error_in(*document, "the endpoint answered with an error"))
      return fail(std::move(*error));
  }
  if (!has_choice) return fail(no_choice());
  return usage;
}

Result<Usage> read_listed(std::string_view json) {
  constexpr const char* kNone = "the endpoint sent an answer that is no JSON object";
  simdjson::dom::parser large;
  const auto document = json.size() <= kSmall ? parse(json, kNone) : parse(large, json, kNone);
  if (!document) return fail(document.error());
  simdjson::dom::array list;
  if ((*document)["data"].get(list) != simdjson::SUCCESS &&
      (*document)["results"].get(list) != simdjson::SUCCESS) {
    if (auto error = error_in(*document, "the endpoint answered with an error"))
      return fail(std::move(*error));
    return fail(bad_stream("the endpoint sent an answer without any result"));
  }
  element said;
  if ((*document)["usage"].get(said) != simdjson::SUCCESS) return Usage{};
  Usage usage = usage_of(said);
  if (usage.prompt_tokens == 0) usage.prompt_tokens = number_at(said, "total_tokens");
  return usage;
}

Result<void> read_generated(std::string_view json) {
  constexpr const char* kNone = "the endpoint sent an answer that is no JSON object";
  simdjson::dom::parser large;
  const auto document = json.size() <= kSmall ? parse(json, kNone) : parse(large, json, kNone);
  if (!document) return fail(document.error());
  element text;
  if ((*document)["text"].get(text) == simdjson::SUCCESS && !text.is_null()) return {};
  if (auto error = error_in(*document, "the endpoint answered with an error")) return fail(std::move(*error));
  return fail(no_choice());
}

Error read_error(int status, std::string_view body, std::optional<std::chrono::seconds> retry_after) {
  const auto document = parse(body, "");
  return error_of_status(status, document ? &*document : nullptr, retry_after);
}

std::string_view next_frame(std::string_view bytes, std::size_t begin, std::size_t searched) {
  std::size_t at = std::max(begin, searched);
  while (true) {
    const std::size_t end = end_of_line(bytes, at);
    if (end == std::string_view::npos) return {};
    const bool lone = bytes[end] == '\r' && (end + 1 == bytes.size() || bytes[end + 1] != '\n');
    at = end + (bytes[end] == '\r' && !lone ? 2 : 1);
    if (at >= bytes.size()) return {};
    if (bytes[at] == '\n') return bytes.substr(begin, at + 1 - begin);
    if (bytes[at] != '\r') continue;
    // A server that ends lines with CR alone has ended the event; from others the line feed is still to come.
    if (at + 1 == bytes.size()) return lone ? bytes.substr(begin) : std::string_view();
    return bytes.substr(begin, at + (bytes[at + 1] == '\n' ? 2 : 1) - begin);
  }
}

std::optional<std::string_view> frame_data(std::string_view frame, std::string& joined) {
  // Of the event before, when a line feed came after what looked like the end: a lone carriage return.
  while (frame.starts_with('\n') || frame.starts_with('\r')) frame.remove_prefix(1);
  if (frame.starts_with(kByteOrderMark)) frame.remove_prefix(kByteOrderMark.size());
  std::optional<std::string_view> data;
  bool several = false;
  while (!frame.empty()) {
    std::string_view line = take_line(frame);
    if (!line.starts_with("data")) continue;
    line.remove_prefix(4);
    if (!line.empty() && line[0] != ':') continue;  // another field
    if (!line.empty()) line.remove_prefix(1);
    if (line.starts_with(' ')) line.remove_prefix(1);
    if (data) {
      if (!several) joined = *data;
      several = true;
      joined += '\n';
      joined += line;
    } else {
      data = line;
    }
  }
  if (several) data = joined;
  return data;
}

std::string_view without_comments(std::string_view frame) {
  if (frame.starts_with(kByteOrderMark)) frame.remove_prefix(kByteOrderMark.size());
  while (!frame.empty()) {
    std::string_view rest = frame;
    const std::string_view line = take_line(rest);
    if (!line.empty() && line[0] != ':') break;
    frame = rest;
  }
  return frame;
}

std::string usage_comment(const Usage& usage) {
  return fmt::format("{}{} {} {}\n\n", kUsageComment, usage.prompt_tokens, usage.cached_tokens,
                     usage.completion_tokens);
}

std::optional<Usage> read_usage_comment(std::string_view frame) {
  std::string_view line;
  while (!line.starts_with(kUsageComment)) {  // a comment that ends with one newline may stand before it
    if (frame.empty()) return std::nullopt;
    line = take_line(frame);
  }
  line.remove_prefix(kUsageComment.size());
  Usage usage;
  for (std::uint32_t* count : {&usage.prompt_tokens, &usage.cached_tokens, &usage.completion_tokens}) {
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), *count);
    if (error != std::errc()) return std::nullopt;
    line.remove_prefix(static_cast<std::size_t>(end - line.data()));
    if (line.starts_with(' ')) line.remove_prefix(1);
  }
  return usage;
}

}  // namespace autoglm::protocol::openai
