#include "gateway/protocol/responses/response_encoder.h"

#include "base/json_string.h"
#include "gateway/protocol/block_encoder.h"
#include "gateway/protocol/openai/error.h"
#include "gateway/protocol/openai/logprob_json.h"
#include "gateway/protocol/responses/response_json.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

namespace autoglm::protocol::responses {

namespace {

using Kind = AnswerBlock::Kind;

/// The document, whose items are collected.
class ResponseEncoder : public BlockEncoder {
 public:
  ResponseEncoder(const AnswerFacts& facts, std::shared_ptr<const Echo> echo, OnFinished on_finished)
      : BlockEncoder(facts.id), facts_(facts), echo_(std::move(echo)), on_finished_(std::move(on_finished)) {}

  std::string_view content_type() const override { return "application/json"; }

  void end(const Usage& usage, std::string& out) override { out += finished_document(usage); }
  void failure(const Error& error, std::string& out) override { out = openai::error_body(error); }

 protected:
  bool was_cut() const { return finish() == FinishReason::kLength; }
  std::string_view last_status() const { return was_cut() ? "incomplete" : "completed"; }

  std::string finished_document(const Usage& usage) {
    std::string document;
    append_response(document, facts_, *echo_,
                    {.status = last_status(),
                     .incomplete = was_cut() ? "max_output_tokens" : "",
                     .usage = &usage,
                     .reasoning_tokens = reasoning_tokens_,
                     .items = &items_,
                     .last_status = last_status()});
    if (on_finished_)
      on_finished_({.id = response_id(facts_.id), .document = document, .message = message()});
    return document;
  }

  std::string response(const ResponseState& state) const {
    std::string document;
    append_response(document, facts_, *echo_, state);
    return document;
  }

  void begin_block(const AnswerBlock& block, std::string& /*out*/) override {
    const std::string_view prefix = block.kind == Kind::kText        ? "msg_"
                                    : block.kind == Kind::kReasoning ? "rs_"
                                                                     : "fc_";
    items_.push_back(
        {.block = block, .id = fmt::format("{}{}_{}", prefix, facts_.id, items_.size()), .logprobs = {}});
  }

  void grow(std::size_t index, std::string_view more, std::string& /*out*/) override {
    OutputItem& item = items_[index];
    item.block.text += more;
    if (item.block.kind != Kind::kText || logprobs_.empty()) return;
    if (!item.logprobs.empty()) item.logprobs += ',';
    item.logprobs += std::exchange(logprobs_, {});
  }

  /// A token may have no text yet: its logprob goes with the next text, and it counts for what comes next.
  void note(const TokenEvent& event) override {
    silent_tokens_ += static_cast<std::uint32_t>(event.tokens.size());
    const bool says = !event.text.empty() || !event.tool_calls.empty();
    if (!event.reasoning.empty()) {
      reasoning_tokens_ += silent_tokens_;
      logprobs_.clear();
    } else if (!event.logprobs.empty()) {
      std::string list;
      openai::append_logprob_list(list, event.logprobs);
      if (!logprobs_.empty()) logprobs_ += ',';
      logprobs_.append(list, 1, list.size() - 2);
    }
    if (says || !event.reasoning.empty()) silent_tokens_ = 0;
  }

  const std::vector<OutputItem>& items() const { return items_; }
  std::string_view held_logprobs() const { return logprobs_; }

 private:
  ChatMessage message() const {
    ChatMessage message;
    message.role = "assistant";
    for (const OutputItem& item : items_) {
      const AnswerBlock& block = item.block;
      if (block.kind == Kind::kText) message.content += block.text;
      if (block.kind == Kind::kReasoning) message.reasoning += block.text;
      if (block.kind == Kind::kToolCall)
        message.tool_calls.push_back({.id = block.id, .name = block.name, .arguments = block.text});
    }
    return message;
  }

  AnswerFacts facts_;
  std::shared_ptr<const Echo> echo_;
  OnFinished on_finished_;
  std::vector<OutputItem> items_;
  std::string logprobs_;  // of tokens whose text has not come
  std::uint32_t silent_tokens_ = 0;
  std::uint32_t reasoning_tokens_ = 0;
};

class EventEncoder final : public ResponseEncoder {
 public:
  using ResponseEncoder::ResponseEncoder;

  std::string_view content_type() const override { return "text/event-stream; charset=utf-8"; }
  std::string_view keep_alive() const override { return ": keep-alive\n"; }
  std::size_t kept() const override { return kept_ + ResponseEncoder::kept(); }

  void end(const Usage& usage, std::string& out) override {
    ensure_begun(out);
    ending_ = last_status();
    close(out);
    const std::string document = finished_document(usage);
    frame(was_cut() ? "response.incomplete" : "response.completed", out)
        .append(R"(,"response":)")
        .append(document);
    end_frame(out);
  }

  /// Where the response has not begun, it cannot have failed.
  void failure(const Error& error, std::string& out) override {
    if (!begun()) {
      frame("error", out) += R"(,"code":)";
      out += error.reason.empty() ? "null" : json_string(error.reason);
      out += R"(,"message":)";
      append_json_string(out, error.message);
      out += R"(,"param":)";
      out += error.param.empty() ? "null" : json_string(error.param);
    } else {
      frame("response.failed", out) += R"(,"response":)";
      out += response({.status = "failed", .error = &error, .items = &items(), .last_status = "incomplete"});
    }
    end_frame(out);
  }

 private:
  std::string& frame(std::string_view type, std::string& out) {
    fmt::format_to(std::back_inserter(out), "event: {0}\ndata: {{\"type\":\"{0}\",\"sequence_number\":{1}",
                   type, sequence_++);
    return out;
  }
  static void end_frame(std::string& out) { out += "}\n\n"; }

  /// A frame about the item at `index`; `part`: about its content.
  std::string& item_frame(std::string_view type, std::size_t index, bool part, std::string& out) {
    frame(type, out) += R"(,"item_id":)";
    append_json_string(out, items()[index].id);
    fmt::format_to(std::back_inserter(out), R"(,"output_index":{})", index);
    if (part) out += R"(,"content_index":0)";
    return out;
  }

  void begin(std::string& out) override {
    const std::string document = response({.status = "in_progress"});
    for (const std::string_view type : {"response.created", "response.in_progress"}) {
      frame(type, out).append(R"(,"response":)").append(document);
      end_frame(out);
    }
  }

  void begin_block(const AnswerBlock& block, std::string& out) override {
    ResponseEncoder::begin_block(block, out);
    const std::size_t index = items().size() - 1;
    frame("response.output_item.added", out);
    fmt::format_to(std::back_inserter(out), R"(,"output_index":{},"item":)", index);
    append_item(out, items()[index], "in_progress");
    end_frame(out);
    if (block.kind == Kind::kToolCall) return;
    item_frame("response.content_part.added", index, true, out) += R"(,"part":)";
    append_part(out, items()[index]);
    end_frame(out);
  }

  void grow(std::size_t index, std::string_view more, std::string& out) override {
    const Kind kind = items()[index].block.kind;
    const std::string logprobs(kind == Kind::kText ? held_logprobs() : std::string_view());
    ResponseEncoder::grow(index, more, out);
    kept_ += more.size() + logprobs.size();
    item_frame(kind == Kind::kText        ? "response.output_text.delta"
               : kind == Kind::kReasoning ? "response.reasoning_text.delta"
                                          : "response.function_call_arguments.delta",
               index, kind != Kind::kToolCall, out) += R"(,"delta":)";
    append_json_string(out, more);
    if (kind == Kind::kText) out.append(R"(,"logprobs":[)").append(logprobs).append("]");
    end_frame(out);
  }

  void end_block(std::size_t index, std::string& out) override {
    const OutputItem& item = items()[index];
    const Kind kind = item.block.kind;
    if (kind == Kind::kToolCall) {
      item_frame("response.function_call_arguments.done", index, false, out) += R"(,"name":)";
      append_json_string(out, item.block.name);
      out += R"(,"arguments":)";
      append_json_string(out, item.block.text);
    } else {
      const bool text = kind == Kind::kText;
      item_frame(text ? "response.output_text.done" : "response.reasoning_text.done", index, true, out) +=
          R"(,"text":)";
      append_json_string(out, item.block.text);
      if (text) out.append(R"(,"logprobs":[)").append(item.logprobs).append("]");
      end_frame(out);
      item_frame("response.content_part.done", index, true, out) += R"(,"part":)";
      append_part(out, item);
    }
    end_frame(out);
    frame("response.output_item.done", out);
    fmt::format_to(std::back_inserter(out), R"(,"output_index":{},"item":)", index);
    append_item(out, item, ending_);
    end_frame(out);
  }

  std::uint64_t sequence_ = 0;
  std::size_t kept_ = 0;
  std::string_view ending_ = "completed";  // the status of items that end
};

}  // namespace

std::unique_ptr<AnswerEncoder> make_response_encoder(const AnswerFacts& facts,
                                                     std::shared_ptr<const Echo> echo, OnFinished on_finished,
                                                     bool stream) {
  if (stream) return std::make_unique<EventEncoder>(facts, std::move(echo), std::move(on_finished));
  return std::make_unique<ResponseEncoder>(facts, std::move(echo), std::move(on_finished));
}

}  // namespace autoglm::protocol::responses
