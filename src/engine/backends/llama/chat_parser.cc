#include "engine/backends/llama/chat_parser.h"

#include <chat.h>

#include <boost/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string_view>
#include <utility>

namespace autoglm::engine {

namespace {

/// The part of `now` after `told`, then added to `told`. A `now` that contradicts `told` gives nothing.
std::string news(std::string& told, std::string_view now) {
  if (!now.starts_with(told)) return {};
  std::string more(now.substr(told.size()));
  told += more;
  return more;
}

bool is_json(const std::string& text) {
  boost::system::error_code error;
  boost::json::parse_options options;
  options.max_depth = 1000;
  boost::json::parse(text, error, {}, options);
  return !error;
}

class LlamaChatParser final : public ChatParser {
 public:
  LlamaChatParser(std::shared_ptr<const common_chat_parser_params> params,
                  std::shared_ptr<const std::vector<std::string>> tools)
      : params_(std::move(params)), tools_(std::move(tools)) {}

  void parse(TokenEvent& event) override {
    text_ += event.text;
    event.text.clear();
    auto now = read(!event.finish.has_value());
    if (!now && event.finish && told_anything_) now = read(true);
    if (now) tell(*now, event.finish.has_value(), event);
    // An answer that does not fit the template's own format is text. That is only possible while nothing has
    // been sent yet.
    if (!now && event.finish && !told_anything_) event.text = text_;
    if (event.finish == FinishReason::kStop && calls_are_whole()) event.finish = FinishReason::kToolCalls;
  }

 private:
  struct Call {
    bool told = false;
    std::string arguments;  // the part that was sent
  };

  std::optional<common_chat_msg> read(bool is_partial) const {
    try {
      return common_chat_parse(text_, is_partial, *params_);
    } catch (const std::exception&) {
      return std::nullopt;
    }
  }

  void tell(const common_chat_msg& now, bool is_last, TokenEvent& event) {
    event.reasoning += news(reasoning_, now.reasoning_content);
    event.text += news(content_, now.content);
    if (calls_.size() < now.tool_calls.size()) calls_.resize(now.tool_calls.size());
    for (std::size_t i = 0; i < now.tool_calls.size(); ++i)
      tell(i, now.tool_calls[i], is_last || i + 1 < now.tool_calls.size(), event);
    told_anything_ |= !event.text.empty() || !event.reasoning.empty() || !event.tool_calls.empty();
  }

  /// Clients concatenate the pieces of a name or an id, so each is sent once and whole, when the arguments
  /// after it have begun. An id that comes after the arguments is too late. What has been sent depends on the
  /// text alone, not on how it arrived: an engine that resumes an answer knows only the text.
  void tell(std::size_t index, const common_chat_tool_call& now, bool is_over, TokenEvent& event) {
    Call& call = calls_[index];
    ToolCallDelta delta{.index = static_cast<std::uint32_t>(index), .id = {}, .name = {}, .arguments = {}};
    if (!call.told) {
      const bool is_whole = now.arguments.size() > 1 && std::ranges::find(*tools_, now.name) != tools_->end();
      if (now.name.empty() || (!is_over && !is_whole)) return;
      call.told = true;
      delta.id = now.id;
      delta.name = now.name;
    }
    delta.arguments = news(call.arguments, now.arguments);
    if (!delta.name.empty() || !delta.arguments.empty()) event.tool_calls.push_back(std::move(delta));
  }

  /// A call that a stop string has cut cannot be executed.
  bool calls_are_whole() const {
    return !calls_.empty() && std::ranges::all_of(calls_, [](const Call& call) {
      return call.told && (call.arguments.empty() || is_json(call.arguments));
    });
  }

  std::shared_ptr<const common_chat_parser_params> params_;
  std::shared_ptr<const std::vector<std::string>> tools_;
  std::string text_;
  std::string content_;    // the part that was sent
  std::string reasoning_;  // the part that was sent
  std::vector<Call> calls_;
  bool told_anything_ = false;
};

}  // namespace

std::function<std::unique_ptr<ChatParser>()> chat_parser_maker(
    std::shared_ptr<const common_chat_parser_params> params, std::vector<std::string> tools) {
  auto names = std::make_shared<const std::vector<std::string>>(std::move(tools));
  return [params = std::move(params), names = std::move(names)]() -> std::unique_ptr<ChatParser> {
    return std::make_unique<LlamaChatParser>(params, names);
  };
}

}  // namespace autoglm::engine
