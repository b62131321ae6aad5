#include "gateway/protocol/anthropic/message_encoder.h"

#include "base/json_string.h"
#include "gateway/protocol/anthropic/error.h"
#include "gateway/protocol/block_encoder.h"
#include "gateway/protocol/json/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string_view>
#include <utility>

namespace autoglm::protocol::anthropic {

namespace {

using Kind = AnswerBlock::Kind;

void append_usage(std::string& out, const Usage& usage) {
  // A prompt's tokens are counted once: those from the cache are none of the input.
  const std::uint32_t cached = std::min(usage.cached_tokens, usage.prompt_tokens);
  fmt::format_to(
      std::back_inserter(out),
      R"("usage":{{"input_tokens":{},"cache_creation_input_tokens":0,"cache_read_input_tokens":{},"output_tokens":{}}})",
      usage.prompt_tokens - cached, cached, usage.completion_tokens);
}

/// `{"id":"msg_…","type":"message","role":"assistant","model":"…"`.
void append_head(std::string& out, const AnswerFacts& facts) {
  out += R"({"id":)";
  append_json_string(out, "msg_" + facts.id);
  out += R"(,"type":"message","role":"assistant","model":)";
  append_json_string(out, facts.model);
}

/// `"stop_reason":…,"stop_sequence":…`.
void append_stop(std::string& out, std::string_view reason, const std::string* sequence) {
  fmt::format_to(std::back_inserter(out), R"("stop_reason":"{}","stop_sequence":)", reason);
  if (sequence == nullptr) {
    out += "null";
  } else {
    append_json_string(out, *sequence);
  }
}

/// A block as `{"type":…}`.
void append_block(std::string& out, const AnswerBlock& block) {
  switch (block.kind) {
    case Kind::kText:
      out += R"({"type":"text","text":)";
      append_json_string(out, block.text);
      break;
    case Kind::kReasoning:
      out += R"({"type":"thinking","thinking":)";
      append_json_string(out, block.text);
      out += R"(,"signature":"")";  // what a model here thought is not encrypted, and nobody checks it
      break;
    case Kind::kToolCall:
      out += R"({"type":"tool_use","id":)";
      append_json_string(out, block.id);
      out += R"(,"name":)";
      append_json_string(out, block.name);
      out += R"(,"input":)";
      out += block.text.empty() ? "{}" : block.text;
  }
  out += '}';
}

/// What documents and streams have in common.
class MessageEncoder : public BlockEncoder {
 public:
  MessageEncoder(const AnswerFacts& facts, AnswerOptions options)
      : BlockEncoder(facts.id), facts_(facts), options_(std::move(options)) {}

 protected:
  void append_reason(std::string& out, const Usage& usage) const {
    if (finish() == FinishReason::kToolCalls) return append_stop(out, "tool_use", nullptr);
    if (finish() == FinishReason::kLength) {
      const bool all = usage.completion_tokens >= options_.max_tokens;
      return append_stop(out, all ? "max_tokens" : "model_context_window_exceeded", nullptr);
    }
    const bool clients = std::ranges::find(options_.stop, stop()) != options_.stop.end();
    if (clients) return append_stop(out, "stop_sequence", &stop());
    append_stop(out, "end_turn", nullptr);
  }
  bool shows(Kind kind) const { return kind != Kind::kReasoning || options_.shows_thinking; }
  const AnswerFacts& facts() const { return facts_; }

 private:
  AnswerFacts facts_;
  AnswerOptions options_;
};

class DocumentEncoder final : public MessageEncoder {
 public:
  using MessageEncoder::MessageEncoder;

  std::string_view content_type() const override { return "application/json"; }

  void end(const Usage& usage, std::string& out) override {
    append_head(out, facts());
    out += R"(,"content":[)";
    for (AnswerBlock& block : blocks_) {
      if (&block != &blocks_.front()) out += ',';
      // The input of a call that was cut is no JSON, and what has come of it would be misleading.
      if (block.kind == Kind::kToolCall && !is_object(block.text)) block.text.clear();
      append_block(out, block);
    }
    out += "],";
    append_reason(out, usage);
    out += ',';
    append_usage(out, usage);
    out += '}';
  }

  void failure(const Error& error, std::string& out) override { out = error_body(error); }

 private:
  void begin_block(const AnswerBlock& block, std::string& /*out*/) override { blocks_.push_back(block); }
  void grow(std::size_t index, std::string_view more, std::string& /*out*/) override {
    if (shows(blocks_[index].kind)) blocks_[index].text += more;
  }
  static bool is_object(std::string_view text) {
    return visit_json_object(text, [](std::string_view, const JsonValue&) { return Result<void>(); })
        .has_value();
  }

  std::vector<AnswerBlock> blocks_;
};

class EventEncoder final : public MessageEncoder {
 public:
  using MessageEncoder::MessageEncoder;

  std::string_view content_type() const override { return "text/event-stream; charset=utf-8"; }
  std::string_view keep_alive() const override { return "event: ping\ndata: {\"type\":\"ping\"}\n\n"; }

  void end(const Usage& usage, std::string& out) override {
    ensure_begun(out);
    close(out);
    out += R"(event: message_delta
data: {"type":"message_delta","delta":{)";
    append_reason(out, usage);
    out += "},";
    append_usage(out, usage);
    out += "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
  }

  void failure(const Error& error, std::string& out) override {
    out.append("event: error\ndata: ").append(error_body(error)).append("\n\n");
  }

 private:
  /// How long the prompt was is known at the end.
  void begin(std::string& out) override {
    out += R"(event: message_start
data: {"type":"message_start","message":)";
    append_head(out, facts());
    out += R"(,"content":[],"stop_reason":null,"stop_sequence":null,)";
    append_usage(out, {});
    out += "}}\n\n";
  }

  void begin_block(const AnswerBlock& block, std::string& out) override {
    kinds_.push_back(block.kind);
    fmt::format_to(std::back_inserter(out),
                   "event: content_block_start\n"
                   R"(data: {{"type":"content_block_start","index":{},"content_block":)",
                   kinds_.size() - 1);
    append_block(out, block);
    out += "}\n\n";
  }

  void grow(std::size_t index, std::string_view more, std::string& out) override {
    const Kind kind = kinds_[index];
    if (!shows(kind)) return;
    const std::string_view delta = kind == Kind::kText        ? R"(text_delta","text":)"
                                   : kind == Kind::kReasoning ? R"(thinking_delta","thinking":)"
                                                              : R"(input_json_delta","partial_json":)";
    fmt::format_to(std::back_inserter(out),
                   "event: content_block_delta\n"
                   R"(data: {{"type":"content_block_delta","index":{},"delta":{{"type":"{})",
                   index, delta);
    append_json_string(out, more);
    out += "}}\n\n";
  }

  void end_block(std::size_t index, std::string& out) override {
    fmt::format_to(std::back_inserter(out),
                   "event: content_block_stop\n"
                   R"(data: {{"type":"content_block_stop","index":{}}})"
                   "\n\n",
                   index);
  }

  std::vector<Kind> kinds_;
};

}  // namespace

std::unique_ptr<AnswerEncoder> make_message_encoder(const AnswerFacts& facts, AnswerOptions options,
                                                    bool stream) {
  if (stream) return std::make_unique<EventEncoder>(facts, std::move(options));
  return std::make_unique<DocumentEncoder>(facts, std::move(options));
}

}  // namespace autoglm::protocol::anthropic
