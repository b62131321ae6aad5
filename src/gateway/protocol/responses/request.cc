#include "gateway/protocol/responses/request.h"

#include "base/json_string.h"
#include "base/utf8.h"
#include "gateway/protocol/responses/input.h"
#include "gateway/protocol/responses/tool_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <map>
#include <utility>

namespace autoglm::protocol::responses {

namespace {

constexpr std::int64_t kMostTokens = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMostLogprobs = 20;
constexpr std::size_t kMostNotes = 16;  // these four are OpenAI's
constexpr std::size_t kMostNoteName = 64;
constexpr std::size_t kMostNote = 512;
constexpr std::size_t kMostUser = 512;
constexpr std::string_view kLogprobs = "message.output_text.logprobs";

/// Reads a text, and keeps it for the answer.
template <std::string Echo::* kEcho>
Result<void> read_text(const JsonValue& value, ResponsesRequest& request, std::string& target) {
  if (auto read = value.read_string(target); !read) return read;
  request.echo.*kEcho = value.as_json();
  return {};
}

/// Those that begin a character: the others of it go on from there.
std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

Result<void> check_characters(std::string_view text, std::size_t most, const std::string& field,
                              std::string_view what) {
  if (characters(text) <= most) return {};
  return fail(invalid_field(field, fmt::format("{} takes at most {} characters", what, most)));
}

Result<void> read_model(const JsonValue& value, ResponsesRequest& request) {
  return value.read_string(request.model);
}

Result<void> read_instructions(const JsonValue& value, ResponsesRequest& request) {
  return read_text<&Echo::instructions>(value, request, request.instructions);
}

Result<void> read_previous(const JsonValue& value, ResponsesRequest& request) {
  return read_text<&Echo::previous_response_id>(value, request, request.previous);
}

Result<void> read_user(const JsonValue& value, ResponsesRequest& request) {
  std::string user;
  if (auto read = read_text<&Echo::user>(value, request, user); !read) return read;
  return check_characters(user, kMostUser, value.path(), value.path());
}

Result<void> read_stream(const JsonValue& value, ResponsesRequest& request) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  request.stream = *flag;
  return {};
}

Result<void> read_store(const JsonValue& value, ResponsesRequest& request) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  request.stores = *flag;
  return {};
}

Result<void> read_parallel(const JsonValue& value, ResponsesRequest& request) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  request.chat.parallel_tool_calls = *flag;
  request.echo.parallel_tool_calls = value.as_json();
  return {};
}

template <std::optional<double> SamplingNumbers::* kMember, int kMax, std::string Echo::* kEcho>
Result<void> read_sampling(const JsonValue& value, ResponsesRequest& request) {
  const auto number = value.as_number(0, kMax);
  if (!number) return fail(number.error());
  request.work.sampling.*kMember = *number;
  request.echo.*kEcho = value.as_json();
  return {};
}

Result<void> read_max_tokens(const JsonValue& value, ResponsesRequest& request) {
  const auto most = value.as_integer(1, kMostTokens);
  if (!most) return fail(most.error());
  request.work.stop.max_tokens = static_cast<std::uint32_t>(*most);
  request.echo.max_output_tokens = std::to_string(*most);
  return {};
}

Result<void> read_top_logprobs(const JsonValue& value, ResponsesRequest& request) {
  const auto count = value.as_integer(0, kMostLogprobs);
  if (!count) return fail(count.error());
  request.top_logprobs = static_cast<std::uint32_t>(*count);
  request.echo.top_logprobs = std::to_string(*count);
  return {};
}

/// What OpenAI adds to answers on request. All but logprobs are of tools and inputs that are refused here,
/// or, as encrypted reasoning, not needed: reasoning is shown as it is.
Result<void> read_include(const JsonValue& value, ResponsesRequest& request) {
  constexpr std::array<std::string_view, 8> kKnown = {kLogprobs,
                                                      "reasoning.encrypted_content",
                                                      "file_search_call.results",
                                                      "web_search_call.results",
                                                      "web_search_call.action.sources",
                                                      "message.input_image.image_url",
                                                      "computer_call_output.output.image_url",
                                                      "code_interpreter_call.outputs"};
  return value.for_each_item([&](const JsonValue& item) -> Result<void> {
    const auto word = item.as_string();
    if (!word || std::ranges::find(kKnown, *word) == kKnown.end())
      return fail(item.wrong(fmt::format("one of {}", fmt::join(kKnown, ", "))));
    request.shows_logprobs |= *word == kLogprobs;
    return {};
  });
}

Result<void> read_metadata(const JsonValue& value, ResponsesRequest& request) {
  std::size_t count = 0;
  auto visited = value.for_each_member([&](std::string_view name, const JsonValue& item) -> Result<void> {
    if (auto checked = check_characters(name, kMostNoteName, "metadata", "a name in metadata"); !checked)
      return checked;
    std::string note;
    if (!item.read_string(note)) return fail(item.wrong("a string"));
    if (auto checked = check_characters(note, kMostNote, item.path(), item.path()); !checked) return checked;
    if (++count <= kMostNotes) return {};
    return fail(invalid_field("metadata", fmt::format("metadata takes at most {} members", kMostNotes)));
  });
  if (visited) request.echo.metadata = value.as_json();
  return visited;
}

/// {"effort", "summary"}. Templates that know of efforts use that name.
Result<void> read_reasoning(const JsonValue& value, ResponsesRequest& request) {
  constexpr std::array<std::string_view, 7> kEfforts = {"none", "minimal", "low", "medium",
                                                        "high", "xhigh",   "max"};
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null()) return {};
    if (key == "effort") {
      if (!item.read_string(request.effort) || std::ranges::find(kEfforts, request.effort) == kEfforts.end())
        return fail(item.wrong("one of none, minimal, low, medium, high, xhigh, max"));
    }
    if (key == "summary" || key == "generate_summary") {
      const auto word = item.as_string();
      if (!word || (*word != "auto" && *word != "concise" && *word != "detailed"))
        return fail(item.wrong("one of auto, concise, detailed"));
      if (*word != "auto")
        refuse(request, item.path(),
               fmt::format("{} must be \"auto\": models here do not sum up what they think, but show it",
                           item.path()));
    }
    return {};
  });
  if (visited) {
    request.echo.reasoning = fmt::format(R"({{"effort":{},"summary":null}})",
                                         request.effort.empty() ? "null" : json_string(request.effort));
  }
  return visited;
}

/// {"type": "text" | "json_object" | "json_schema", "schema"}; name, description, strict: it is always kept
/// to.
Result<void> read_format(const JsonValue& value, ResponsesRequest& request) {
  std::string type;
  std::string schema;
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null()) return {};
    if (key == "type") return item.read_string(type);
    if (key != "schema") return {};
    if (!item.is_object()) return fail(item.wrong("a JSON schema, an object"));
    schema = item.as_json();
    return {};
  });
  if (!visited) return visited;
  OutputFormat& format = request.work.format;
  format = {.kind = OutputFormat::Kind::kText, .definition = {}, .field_name = value.path()};
  if (type == "text") return {};
  if (type == "json_object") {
    format.kind = OutputFormat::Kind::kJsonObject;
    return {};
  }
  if (type != "json_schema") {
    return fail(invalid_field(value.path() + ".type",
                              value.path() + R"(.type must be "text", "json_object" or "json_schema")"));
  }
  if (schema.empty()) return fail(missing(value.path() + ".schema", R"({"type": "object"})"));
  format.kind = OutputFormat::Kind::kJsonSchema;
  format.definition = std::move(schema);
  return {};
}

Result<void> read_text_options(const JsonValue& value, ResponsesRequest& request) {
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null()) return {};
    if (key == "format") return read_format(item, request);
    if (key != "verbosity") return {};
    const auto word = item.as_string();
    if (!word || (*word != "low" && *word != "medium" && *word != "high"))
      return fail(item.wrong("one of low, medium, high"));
    if (*word != "medium")
      refuse(request, item.path(),
             item.path() + " is not supported by this server: leave it out or send \"medium\"");
    return {};
  });
  if (visited) request.echo.text = value.as_json();
  return visited;
}

Result<void> read_truncation(const JsonValue& value, ResponsesRequest& request) {
  const auto word = value.as_string();
  if (!word || (*word != "auto" && *word != "disabled")) return fail(value.wrong(R"("auto" or "disabled")"));
  request.work.truncation.reset();
  if (*word == "auto") request.work.truncation.emplace();
  request.echo.truncation = value.as_json();
  return {};
}

Result<void> read_service_tier(const JsonValue& value, ResponsesRequest& /*request*/) {
  constexpr std::array<std::string_view, 5> kTiers = {"auto", "default", "flex", "scale", "priority"};
  const auto word = value.as_string();
  if (!word || std::ranges::find(kTiers, *word) == kTiers.end())
    return fail(value.wrong("one of auto, default, flex, scale, priority"));
  return {};
}

Result<void> read_background(const JsonValue& value, ResponsesRequest& request) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  if (*flag)
    refuse(request, value.path(),
           "background is not supported by this server: answers are made while the client waits; "
           "leave it out or send false, and stream long answers");
  return {};
}

Result<void> refuse_conversation(const JsonValue& value, ResponsesRequest& request) {
  refuse(request, value.path(),
         "conversation is not supported by this server: go on from a response by previous_response_id");
  return {};
}

Result<void> refuse_prompt(const JsonValue& value, ResponsesRequest& request) {
  refuse(request, value.path(),
         "prompt is a template that OpenAI keeps: send its text as instructions and input");
  return {};
}

Result<void> only_empty(const JsonValue& value, ResponsesRequest& request) {
  if (!value.is_array() || value.item_count() > 0)
    refuse(request, value.path(),
           value.path() + " is not supported by this server: leave it out or send null");
  return {};
}

Result<void> ignore(const JsonValue& /*value*/, ResponsesRequest& /*request*/) { return {}; }

constexpr auto kFields = std::to_array<JsonField<ResponsesRequest>>({
    {"model", read_model},
    {"input", read_input},
    {"instructions", read_instructions},
    {"previous_response_id", read_previous},
    {"stream", read_stream},
    {"store", read_store},
    {"max_output_tokens", read_max_tokens},
    {"temperature", read_sampling<&SamplingNumbers::temperature, 2, &Echo::temperature>},
    {"top_p", read_sampling<&SamplingNumbers::top_p, 1, &Echo::top_p>},
    {"top_logprobs", read_top_logprobs},
    {"include", read_include},
    {"tools", read_tools},
    {"tool_choice", read_tool_choice},
    {"parallel_tool_calls", read_parallel},
    {"text", read_text_options},
    {"reasoning", read_reasoning},
    {"truncation", read_truncation},
    {"metadata", read_metadata},
    {"user", read_user},
    {"service_tier", read_service_tier},
    {"background", read_background},
    {"conversation", refuse_conversation},
    {"prompt", refuse_prompt},
    {"context_management", only_empty},
    {"moderation", only_empty},
    // Notes about the client and its cache; a limit of tools that are refused; padding of frames.
    {"max_tool_calls", ignore},
    {"prompt_cache_key", ignore},
    {"prompt_cache_options", ignore},
    {"prompt_cache_retention", ignore},
    {"safety_identifier", ignore},
    {"stream_options", ignore},
});

}  // namespace

Result<ResponsesRequest> read_request(std::string_view body) {
  ResponsesRequest request;
  const auto unknown = read_fields(body, request, kFields);
  if (!unknown) return fail(unknown.error());
  request.unknown_fields = *unknown;
  if (!request.has_input) return fail(missing("input", R"({"input": "Hello"})"));
  if (auto settled = settle_tools(request); !settled) return fail(settled.error());
  if (request.top_logprobs.value_or(0) > 0 && !request.shows_logprobs) {
    return fail(
        invalid_field("top_logprobs", fmt::format("top_logprobs needs include to have \"{}\"", kLogprobs)));
  }
  if (request.shows_logprobs) request.work.top_logprobs = request.top_logprobs.value_or(0);
  auto& arguments = request.chat.template_arguments;
  if (!request.effort.empty()) arguments["reasoning_effort"] = json_string(request.effort);
  if (request.effort == "none") arguments["enable_thinking"] = "false";
  request.echo.store = request.stores ? "true" : "false";
  return request;
}

void make_prompt(ResponsesRequest& request, std::vector<ChatMessage> history) {
  auto& messages = request.chat.messages;
  if (!request.instructions.empty()) {
    ChatMessage system;
    system.role = "system";
    system.content = request.instructions;
    history.insert(history.begin(), std::move(system));
  }
  history.insert(history.end(), std::make_move_iterator(messages.begin()),
                 std::make_move_iterator(messages.end()));
  messages = std::move(history);
  // Some templates write the tool's name beside its output.
  std::map<std::string_view, std::string_view> names;
  for (ChatMessage& message : messages) {
    for (const ToolCall& call : message.tool_calls) names[call.id] = call.name;
    if (const auto called = names.find(message.tool_call_id); message.role == "tool" && called != names.end())
      message.name = called->second;
  }
  request.work.prompts.front() = std::move(request.chat);
}

void refuse(ResponsesRequest& request, std::string field, std::string message) {
  if (!request.work.refusal)
    request.work.refusal = invalid_field(std::move(field), std::move(message), "unsupported_parameter");
}

Error missing(const std::string& field, const std::string& example) {
  return invalid_field(
      field,
      example.empty() ? field + " is missing" : fmt::format("{} is missing: send e.g. {}", field, example),
      "missing_required_parameter");
}

}  // namespace autoglm::protocol::responses
