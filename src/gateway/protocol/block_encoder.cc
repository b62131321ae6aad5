#include "gateway/protocol/block_encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::protocol {

void BlockEncoder::events(const EventBatch& batch, std::string& out) {
  ensure_begun(out);
  for (const TokenEvent& event : batch.events) {
    if (event.choice != 0) continue;
    note(event);
    if (!event.reasoning.empty()) {
      open(AnswerBlock::Kind::kReasoning, out);
      grow(count_ - 1, event.reasoning, out);
    }
    if (!event.text.empty()) {
      open(AnswerBlock::Kind::kText, out);
      grow(count_ - 1, event.text, out);
    }
    for (const ToolCallDelta& call : event.tool_calls) add_call(call, out);
    if (!event.finish) continue;
    finish_ = event.finish;
    stop_ = event.stop;
  }
}

void BlockEncoder::ensure_begun(std::string& out) {
  if (!std::exchange(begun_, true)) begin(out);
}

void BlockEncoder::close(std::string& out) {
  end_open(out);
  while (!held_.empty()) {
    begin_held(out);
    end_open(out);
  }
}

void BlockEncoder::end_open(std::string& out) {
  if (open_) end_block(count_ - 1, out);
  open_.reset();
}

void BlockEncoder::open(AnswerBlock::Kind kind, std::string& out) {
  if (open_ == kind) return;
  close(out);
  open_ = kind;
  ++count_;
  begin_block({.kind = kind, .id = {}, .name = {}, .text = {}}, out);
}

void BlockEncoder::add_call(const ToolCallDelta& call, std::string& out) {
  const bool one_is_open = open_ == AnswerBlock::Kind::kToolCall;
  if (const auto begun = calls_.find(call.index); begun != calls_.end()) {
    // What comes for a call that has ended has no place any more.
    if (one_is_open && begun->second == count_ - 1) grow_call(call.arguments, out);
  } else if (one_is_open && !arguments_.whole()) {
    hold(call);
  } else {
    begin_call(call, out);
  }
  while (!held_.empty() && arguments_.whole()) begin_held(out);
}

void BlockEncoder::begin_call(const ToolCallDelta& call, std::string& out) {
  end_open(out);
  open_ = AnswerBlock::Kind::kToolCall;
  calls_.emplace(call.index, count_++);
  arguments_ = {};
  begin_block({.kind = AnswerBlock::Kind::kToolCall,
               .id = call.id.empty() ? fmt::format("call_{}_{}", id_, call.index) : call.id,
               .name = call.name,
               .text = {}},
              out);
  grow_call(call.arguments, out);
}

void BlockEncoder::grow_call(std::string_view arguments, std::string& out) {
  if (arguments.empty()) return;
  arguments_.add(arguments);
  grow(count_ - 1, arguments, out);
}

void BlockEncoder::hold(const ToolCallDelta& call) {
  held_bytes_ += call.arguments.size();
  const auto held = std::ranges::find(held_, call.index, &ToolCallDelta::index);
  if (held != held_.end()) {
    held->arguments += call.arguments;
  } else {
    held_.push_back(call);
  }
}

void BlockEncoder::begin_held(std::string& out) {
  const ToolCallDelta call = std::move(held_.front());
  held_.erase(held_.begin());
  held_bytes_ -= call.arguments.size();
  begin_call(call, out);
}

void CallArguments::add(std::string_view more) {
  for (const char c : more) {
    if (text_) {
      text_ = escaped_ || c != '"';
      escaped_ = !escaped_ && c == '\\';
    } else if (c == '"') {
      text_ = true;
    } else if (c == '{' || c == '[') {
      begun_ = true;
      ++depth_;
    } else if ((c == '}' || c == ']') && depth_ > 0) {
      --depth_;
    }
  }
}

}  // namespace autoglm::protocol
