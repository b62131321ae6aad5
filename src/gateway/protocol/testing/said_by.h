#pragma once

#include "gateway/protocol/client_codec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::protocol {

/// Events in words, whatever the batches: consecutive texts are one.
inline std::string in_words(const std::vector<TokenEvent>& events) {
  std::string words;
  std::string open;
  const auto say = [&](const std::string& kind, const std::string& text) {
    if (text.empty()) return;
    if (open != kind) words += fmt::format("{}{}:", words.empty() ? "" : " | ", kind);
    open = kind;
    words += text;
  };
  for (const TokenEvent& event : events) {
    const std::string at = event.choice == 0 ? "" : std::to_string(event.choice);
    say("thought" + at, event.reasoning);
    say("text" + at, event.text);
    for (const ToolCallDelta& call : event.tool_calls) {
      if (!call.id.empty() || !call.name.empty()) {
        words += fmt::format("{}call{}({},{})", words.empty() ? "" : " | ", call.index, call.id, call.name);
        open.clear();
      }
      say(fmt::format("arguments{}", call.index), call.arguments);
    }
    for (const GeneratedLogprob& each : event.logprobs) {
      words +=
          fmt::format(" | logprob {} {} top {}", each.chosen.bytes, each.chosen.logprob, each.top.size());
      open.clear();
    }
    if (!event.tokens.empty()) words += fmt::format(" | tokens {}", fmt::join(event.tokens, ","));
    if (!event.tokens.empty()) open.clear();
    if (!event.finish) continue;
    words += fmt::format("{}{}{}", words.empty() ? "" : " | ", to_string(*event.finish), at);
    open.clear();
  }
  return words;
}

/// What a reader makes of an answer that comes in these pieces: events, then the usage or the error.
inline std::string said_in_pieces(const ClientCodec& codec, const InferenceRequest& request,
                                  const std::vector<std::string_view>& pieces, const EndpointTerms& terms) {
  const std::unique_ptr<AnswerReader> reader = codec.reader(request, terms);
  std::vector<TokenEvent> events;
  std::string bytes;
  for (std::size_t i = 0; i <= pieces.size(); ++i) {
    const bool over = i == pieces.size();
    if (!over) bytes += pieces[i];
    EventBatch batch;
    auto read = reader->read(bytes, over, batch);
    std::move(batch.events.begin(), batch.events.end(), std::back_inserter(events));
    if (!read) return in_words(events) + " / error: " + read.error().message;
    if (batch.usage) {
      return fmt::format("{} / {} {} {}", in_words(events), batch.usage->prompt_tokens,
                         batch.usage->cached_tokens, batch.usage->completion_tokens);
    }
  }
  return in_words(events) + " / it never ended";
}

/// The same of `bytes`, wherever they are cut.
inline std::string said_by(const ClientCodec& codec, const InferenceRequest& request, std::string_view bytes,
                           const EndpointTerms& terms = {}) {
  std::string whole = said_in_pieces(codec, request, {bytes}, terms);
  std::vector<std::string_view> single;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    single.push_back(bytes.substr(at, 1));
    EXPECT_EQ(said_in_pieces(codec, request, {bytes.substr(0, at), bytes.substr(at)}, terms), whole)
        << "cut at " << at;
  }
  EXPECT_EQ(said_in_pieces(codec, request, single, terms), whole) << "byte by byte";
  return whole;
}

/// A chat's request, of a client that no endpoint here speaks with.
inline InferenceRequest chat_request(std::vector<ChatMessage> messages = {
                                         {.role = "user", .content = "Hi"}}) {
  GenerateRequest work;
  work.prompts = {ChatPrompt{.messages = std::move(messages)}};
  return {.id = "r1", .model = "m", .work = std::move(work), .wire = {}, .created = 7};
}
inline InferenceRequest text_request(std::string text = "Once") {
  GenerateRequest work;
  work.prompts = {TextPrompt{std::move(text)}};
  return {.id = "r1", .model = "m", .work = std::move(work), .wire = {}, .created = 7};
}

/// The body that a codec writes, after its path; or the field of its error and what is wrong.
inline std::string written(const ClientCodec& codec, const InferenceRequest& request,
                           const EndpointTerms& terms = {}) {
  const auto request_written = codec.write(request, terms);
  if (request_written) return request_written->to.path + " " + request_written->body;
  const Error& error = request_written.error();
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.retry, Retry::kElsewhere) << "another endpoint may take it";
  EXPECT_EQ(error.origin, Origin::kLocal) << "no server was asked";
  return error.param + ": " + error.message;
}

}  // namespace autoglm::protocol
