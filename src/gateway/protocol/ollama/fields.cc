#include "gateway/protocol/ollama/fields.h"

#include "base/json_string.h"
#include "gateway/protocol/openai/chat_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::protocol::ollama {

namespace {

/// Options that are called as OpenAI's codecs call them.
constexpr auto kSameOptions = std::to_array<std::string_view>(
    {"temperature", "top_p", "top_k", "min_p", "typical_p", "repeat_penalty", "repeat_last_n",
     "presence_penalty", "frequency_penalty", "seed", "stop"});

/// Options of how a model is loaded, which the configuration says here, and of samplers that are off.
constexpr auto kIgnoredOptions = std::to_array<std::string_view>(
    {"num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "use_mlock", "num_thread", "numa", "low_vram",
     "f16_kv", "logits_all", "vocab_only", "embedding_only", "num_keep", "mirostat_tau", "mirostat_eta",
     "penalize_newline"});

template <class Names>
bool lists(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != std::end(names);
}

Result<void> read_num_predict(const JsonValue& value, Body& body) {
  // 0 and less: no limit; -2, until the context is full, is the same here.
  const auto tokens =
      value.as_integer(std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max());
  if (!tokens) return fail(tokens.error());
  body.n_predict = *tokens > 0 ? static_cast<std::int32_t>(*tokens) : -1;
  return {};
}

Result<void> only(bool neutral, const JsonValue& value, std::string_view shown) {
  return neutral ? Result<void>() : fail(openai::unsupported(value.path(), shown));
}

Result<void> read_options(const JsonValue& value, Body& body) {
  return value.for_each_member([&](std::string_view name, const JsonValue& item) -> Result<void> {
    if (item.is_null() || lists(kIgnoredOptions, name)) return {};
    if (name == "num_predict") return read_num_predict(item, body);
    if (name == "mirostat") return only(item.as_integer(0, 0).has_value(), item, "0");
    if (name == "tfs_z") return only(item.as_number(1, 1).has_value(), item, "1");
    if (!lists(kSameOptions, name)) {
      ++body.unknown_options;
      return {};
    }
    for (const auto& field : openai::generate_fields())
      if (field.name == name) return field.read(item, body);
    return {};
  });
}

Result<void> read_format(const JsonValue& value, Body& body) {
  using Kind = OutputFormat::Kind;
  OutputFormat& format = body.work.format;
  if (value.is_object()) {
    format = {.kind = Kind::kJsonSchema, .definition = value.as_json(), .field_name = "format"};
    return {};
  }
  const auto word = value.as_string();
  if (!word || (*word != "json" && !word->empty())) return fail(value.wrong(R"("json" or a JSON schema)"));
  format = {};
  if (*word == "json") format = {.kind = Kind::kJsonObject, .definition = {}, .field_name = "format"};
  return {};
}

/// As `reasoning_effort` of OpenAI's chat: for templates that know of it.
Result<void> read_think(const JsonValue& value, Body& body) {
  auto& arguments = body.chat.template_arguments;
  arguments.clear();
  if (const auto flag = value.as_bool()) {
    arguments["enable_thinking"] = *flag ? "true" : "false";
    return {};
  }
  const auto level = value.as_string();
  if (!level || (*level != "high" && *level != "medium" && *level != "low"))
    return fail(value.wrong(R"(true, false, "high", "medium" or "low")"));
  arguments["enable_thinking"] = "true";
  arguments["reasoning_effort"] = json_string(*level);
  return {};
}

Result<void> read_keep_alive(const JsonValue& value, Body& /*body*/) { return check_keep_alive(value); }

template <Result<void> (*kRead)(const JsonValue&, openai::GenerateBody&)>
Result<void> read_common(const JsonValue& value, Body& body) {
  return kRead(value, body);
}

Result<void> read_model(const JsonValue& value, Body& body) { return value.read_string(body.model); }

Result<void> read_stream(const JsonValue& value, Body& body) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  body.stream = *flag;
  return {};
}

Result<void> only_false(const JsonValue& value, Body& /*body*/) {
  const auto flag = value.as_bool();
  return only(flag && !*flag, value, "false");
}

constexpr auto kSharedFields = std::to_array<JsonField<Body>>({
    {"model", read_model},
    {"stream", read_stream},
    {"options", read_options},
    {"format", read_format},
    {"think", read_think},
    {"keep_alive", read_keep_alive},
    {"logprobs", read_common<openai::read_logprobs_flag>},
    {"top_logprobs", read_common<openai::read_top_logprobs>},
    {"_debug_render_only", only_false},
});

/// Ids that all templates take: a call and its answer have the same.
std::string call_id(std::size_t number) { return fmt::format("call{:05}", number % 100'000); }

Result<void> read_call(const JsonValue& value, ToolCall& call) {
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& function) -> Result<void> {
    if (key != "function") return {};
    return function.for_each_member([&](std::string_view name, const JsonValue& item) -> Result<void> {
      if (item.is_null()) return {};
      if (name == "name") return item.read_string(call.name);
      if (name != "arguments") return {};
      if (!item.is_object()) return fail(item.wrong("an object"));
      call.arguments = item.as_json();
      return {};
    });
  });
  if (!visited || !call.name.empty()) return visited;
  const std::string path = value.path() + ".function.name";
  return fail(invalid_field(path, path + " is missing", "missing_required_parameter"));
}

/// The calls of a conversation that have no answer so far. An answer costs no walk through them: a body may
/// have as many of both as fit into it.
class OpenCalls {
 public:
  void add(ToolCall& call) {
    call.id = call_id(next_++);
    by_name_[call.name].waiting.push_back(calls_.size());
    calls_.push_back({.id = call.id});
  }
  /// The call of that tool that has waited longest, else of any.
  std::string answered(const std::string& name) {
    if (const auto queue = by_name_.find(name); queue != by_name_.end()) {
      for (auto& [waiting, front] = queue->second; front < waiting.size();) {
        if (Call& call = calls_[waiting[front++]]; !call.answered) return answer(call);
      }
    }
    while (oldest_ < calls_.size()) {
      if (Call& call = calls_[oldest_++]; !call.answered) return answer(call);
    }
    return call_id(next_++);
  }
  void close() {  // the conversation went on
    calls_.clear();
    by_name_.clear();
    oldest_ = 0;
  }

 private:
  struct Call {
    std::string id;
    bool answered = false;
  };
  struct Queue {
    std::vector<std::size_t> waiting;  // places in `calls_`
    std::size_t front = 0;             // of `waiting`: those before it have their answers
  };
  static std::string answer(Call& call) {
    call.answered = true;
    return std::move(call.id);
  }

  std::vector<Call> calls_;
  std::map<std::string, Queue> by_name_;
  std::size_t oldest_ = 0;  // the calls before it have their answers
  std::size_t next_ = 0;
};

Result<void> read_message(const JsonValue& value, ChatMessage& message, OpenCalls& calls) {
  std::string tool;
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null()) return {};
    if (key == "role") return item.read_string(message.role);
    if (key == "content") return item.read_string(message.content);
    if (key == "thinking") return item.read_string(message.reasoning);
    if (key == "tool_name" || key == "name") return item.read_string(tool);
    if (key == "images") return refuse_unless_empty(item, "this model reads text only");
    if (key != "tool_calls") return {};
    message.tool_calls.clear();
    return item.for_each_item(
        [&](const JsonValue& each) { return read_call(each, message.tool_calls.emplace_back()); });
  });
  if (!visited) return visited;
  std::ranges::transform(message.role, message.role.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  constexpr std::array<std::string_view, 4> kRoles = {"system", "user", "assistant", "tool"};
  if (!lists(kRoles, message.role)) {
    const std::string path = value.path() + ".role";
    return fail(invalid_field(path, path + " must be one of system, user, assistant, tool"));
  }
  if (message.role == "tool") {
    message.tool_call_id = calls.answered(tool);
    message.name = std::move(tool);
  } else {
    calls.close();
  }
  for (ToolCall& call : message.tool_calls) calls.add(call);
  return {};
}

}  // namespace

Result<void> refuse_unless_empty(const JsonValue& value, std::string_view instead) {
  bool empty = (value.is_array() && value.item_count() == 0) ||
               (value.is_string() && value.as_string()->empty()) || value.is_null();
  if (empty) return {};
  return fail(invalid_field(value.path(),
                            fmt::format("{} is not supported by this server: {}", value.path(), instead),
                            "unsupported_parameter"));
}

Result<void> check_keep_alive(const JsonValue& value) {
  if (value.is_string() ||
      value.as_number(std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max()))
    return {};
  return fail(value.wrong(R"(seconds, or a text such as "5m")"));
}

Result<void> read_messages(const JsonValue& value, Body& body) {
  OpenCalls calls;
  body.has_prompt = true;
  body.chat.messages.clear();
  body.chat.messages.reserve(value.item_count());
  return value.for_each_item(
      [&](const JsonValue& item) { return read_message(item, body.chat.messages.emplace_back(), calls); });
}

Result<void> read_tools(const JsonValue& value, Body& body) {
  body.chat.tools.clear();
  return openai::read_tools(value, body.chat.tools, body.work.refusal);
}

Result<void> settle(Body& body) {
  if (auto settled = openai::settle_fields(body, std::nullopt); !settled) return settled;
  if (body.work.refusal) return fail(*std::move(body.work.refusal));
  return {};
}

std::span<const JsonField<Body>> shared_fields() { return kSharedFields; }

}  // namespace autoglm::protocol::ollama
