#include "gateway/protocol/grpc/fields.h"

#include "base/utf8.h"
#include "gateway/protocol/json/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace autoglm::protocol::grpc {

namespace {

constexpr int kMostStops = 16;
constexpr std::uint32_t kMostChoices = 128;
constexpr std::size_t kMostBiases = 1024;
constexpr std::uint32_t kMostLogprobs = 20;
constexpr std::size_t kMostArguments = 64;
constexpr std::array<std::string_view, 6> kRoles = {"system",    "developer", "user",
                                                    "assistant", "tool",      "function"};

Result<void> read_bias(const v1::Sampling& from, SamplingRequest& to) {
  if (from.logit_bias().size() > kMostBiases) {
    return fail(invalid_field("sampling.logit_bias",
                              fmt::format("sampling.logit_bias takes at most {} tokens", kMostBiases)));
  }
  for (const auto& [token, bias] : from.logit_bias()) {
    if (token < 0 || !(bias >= -100 && bias <= 100)) {
      return fail(
          invalid_field("sampling.logit_bias",
                        fmt::format("sampling.logit_bias maps token ids, 0 and above, to numbers of -100 "
                                    "to 100, got {} for {}",
                                    bias, token)));
    }
    to.logit_bias.emplace_back(token, bias);
  }
  std::ranges::sort(to.logit_bias);  // a map has no order
  return {};
}

Result<void> read_sampling(const v1::Sampling& from, SamplingRequest& to) {
  const std::pair<std::string_view, std::optional<double>> numbers[] = {
      {"temperature", from.has_temperature() ? std::optional(from.temperature()) : std::nullopt},
      {"top_p", from.has_top_p() ? std::optional(from.top_p()) : std::nullopt},
      {"top_k", from.has_top_k() ? std::optional<double>(std::max(from.top_k(), 0)) : std::nullopt},
      {"min_p", from.has_min_p() ? std::optional(from.min_p()) : std::nullopt},
      {"presence_penalty",
       from.has_presence_penalty() ? std::optional(from.presence_penalty()) : std::nullopt},
      {"frequency_penalty",
       from.has_frequency_penalty() ? std::optional(from.frequency_penalty()) : std::nullopt},
      {"repetition_penalty",
       from.has_repetition_penalty() ? std::optional(from.repetition_penalty()) : std::nullopt},
  };
  for (const auto& [name, value] : numbers) {
    if (!value) continue;
    if (const auto wrong = set_sampling_number(to, name, *value))
      return fail(
          invalid_field(fmt::format("sampling.{}", name), fmt::format("sampling.{} {}", name, *wrong)));
  }
  if (from.has_seed()) to.seed = from.seed();
  return read_bias(from, to);
}

Result<void> read_stop(v1::Stop& from, bool prompt_only, StopConditions& to) {
  if (from.stop_size() > kMostStops)
    return fail(invalid_field(
        "stop.stop", fmt::format("stop.stop takes at most {} texts, got {}", kMostStops, from.stop_size())));
  for (std::string& text : *from.mutable_stop()) {
    if (text.empty()) return fail(invalid_field("stop.stop", "stop.stop must not contain an empty text"));
    to.stop.push_back(std::move(text));
  }
  auto tokens = read_tokens(from.stop_token_ids(), "stop.stop_token_ids");
  if (!tokens) return fail(std::move(tokens).error());
  to.stop_tokens = std::move(tokens->tokens);
  if (from.has_max_tokens()) to.max_tokens = from.max_tokens();
  if (to.max_tokens == 0U && !prompt_only)
    return fail(invalid_field("stop.max_tokens", "stop.max_tokens must be at least 1, got 0"));
  to.min_tokens = from.min_tokens();
  if (to.min_tokens > to.max_tokens.value_or(to.min_tokens)) {
    return fail(invalid_field(
        "stop.min_tokens", fmt::format("stop.min_tokens must be at most stop.max_tokens, which is {}, got {}",
                                       *to.max_tokens, to.min_tokens)));
  }
  to.include_stop = from.include_stop_str_in_output();
  to.ignore_eos = from.ignore_eos();
  return {};
}

Result<void> read_format(v1::Format& from, OutputFormat& to) {
  using Kind = OutputFormat::Kind;
  switch (from.kind_case()) {
    case v1::Format::kJsonObject:
      if (from.json_object())
        to = {.kind = Kind::kJsonObject, .definition = "", .field_name = "format.json_object"};
      return {};
    case v1::Format::kJsonSchema:
      to = {.kind = Kind::kJsonSchema,
            .definition = std::move(*from.mutable_json_schema()),
            .field_name = "format.json_schema"};
      return {};
    case v1::Format::kGrammar:
      to = {.kind = Kind::kGrammar,
            .definition = std::move(*from.mutable_grammar()),
            .field_name = "format.grammar"};
      return {};
    case v1::Format::KIND_NOT_SET:
      return {};
  }
  return {};
}

/// Whether `text` is one JSON value; an object, where that is asked for.
bool is_json(std::string_view text, bool object, std::string* minified) {
  int members = 0;
  bool right = false;
  const auto visited = visit_json_object(fmt::format("{{\"value\":{}}}", text),
                                         [&](std::string_view, const JsonValue& value) -> Result<void> {
                                           ++members;
                                           right = !object || value.is_object();
                                           if (minified != nullptr) *minified = value.as_json();
                                           return {};
                                         });
  return visited && members == 1 && right;  // more members: the text has closed the object
}

Result<std::vector<ToolCall>> read_calls(google::protobuf::RepeatedPtrField<v1::ToolCall>& calls,
                                         std::string_view path) {
  std::vector<ToolCall> read;
  for (v1::ToolCall& call : calls) {
    if (call.name().empty()) {
      const std::string field = fmt::format("{}.tool_calls[{}].name", path, read.size());
      return fail(invalid_field(field, field + " is missing", "missing_required_parameter"));
    }
    read.push_back({.id = std::move(*call.mutable_id()),
                    .name = std::move(*call.mutable_name()),
                    .arguments = std::move(*call.mutable_arguments())});
  }
  return read;
}

}  // namespace

template <class Message>
Result<void> read_generation(Message& message, std::optional<std::uint32_t> max_tokens,
                             GenerateRequest& work) {
  if (auto read = read_sampling(message.sampling(), work.sampling); !read) return read;
  work.stop.max_tokens = max_tokens;
  if (auto read = read_stop(*message.mutable_stop(), work.echo, work.stop); !read) return read;
  if (auto read = read_format(*message.mutable_format(), work.format); !read) return read;
  if (message.n() > kMostChoices)
    return fail(invalid_field("n", fmt::format("n must be at most {}, got {}", kMostChoices, message.n())));
  work.n = std::max(message.n(), 1U);
  if (message.report().has_top_logprobs()) {
    work.top_logprobs = message.report().top_logprobs();
    if (*work.top_logprobs > kMostLogprobs) {
      return fail(invalid_field(
          "report.top_logprobs",
          fmt::format("report.top_logprobs must be at most {}, got {}", kMostLogprobs, *work.top_logprobs)));
    }
  }
  work.cache_salt = std::move(*message.mutable_cache_salt());
  return {};
}

template Result<void> read_generation(v1::GenerateRequest&, std::optional<std::uint32_t>, GenerateRequest&);
template Result<void> read_generation(v1::ChatRequest&, std::optional<std::uint32_t>, GenerateRequest&);

Result<std::uint8_t> read_priority(std::uint32_t priority) {
  if (priority > 9)
    return fail(invalid_field("priority", fmt::format("priority must be 0 to 9, got {}", priority)));
  return static_cast<std::uint8_t>(priority);
}

Result<TokenPrompt> read_tokens(const google::protobuf::RepeatedField<std::int32_t>& ids,
                                std::string_view path) {
  TokenPrompt prompt{.tokens = {ids.begin(), ids.end()}};
  const auto wrong = std::ranges::find_if(prompt.tokens, [](TokenId token) { return token < 0; });
  if (wrong == prompt.tokens.end()) return prompt;
  const std::string field = fmt::format("{}[{}]", path, wrong - prompt.tokens.begin());
  return fail(invalid_field(field, fmt::format("{} must be a token id, 0 or above, got {}", field, *wrong)));
}

Result<std::vector<ChatMessage>> read_messages(google::protobuf::RepeatedPtrField<v1::Message>& messages,
                                               std::string_view path) {
  if (messages.empty())
    return fail(invalid_field(std::string(path), fmt::format("{} must hold at least one message", path)));
  std::vector<ChatMessage> read;
  for (v1::Message& message : messages) {
    const std::string here = fmt::format("{}[{}]", path, read.size());
    if (std::ranges::find(kRoles, message.role()) == kRoles.end()) {
      return fail(invalid_field(
          here + ".role",
          fmt::format("{}.role must be one of system, developer, user, assistant, tool, got \"{}\"", here,
                      excerpt(message.role(), 32))));
    }
    auto calls = read_calls(*message.mutable_tool_calls(), here);
    if (!calls) return fail(std::move(calls).error());
    ChatMessage& made =
        read.emplace_back(ChatMessage{.role = std::move(*message.mutable_role()),
                                      .content = std::move(*message.mutable_content()),
                                      .name = std::move(*message.mutable_name()),
                                      .reasoning = std::move(*message.mutable_reasoning()),
                                      .tool_calls = std::move(*calls),
                                      .tool_call_id = std::move(*message.mutable_tool_call_id())});
    // OpenAI's newer word, and its older one.
    if (made.role == "developer") made.role = "system";
    if (made.role == "function") made.role = "tool";
  }
  return read;
}

Result<std::vector<Tool>> read_tools(google::protobuf::RepeatedPtrField<v1::Tool>& tools,
                                     std::string_view path) {
  std::vector<Tool> read;
  for (v1::Tool& tool : tools) {
    const std::string here = fmt::format("{}[{}]", path, read.size());
    if (tool.name().empty())
      return fail(invalid_field(here + ".name", here + ".name is missing", "missing_required_parameter"));
    std::string parameters = R"({"type":"object","properties":{}})";
    if (!tool.parameters().empty() && !is_json(tool.parameters(), true, &parameters))
      return fail(invalid_field(here + ".parameters", here + ".parameters must be a JSON schema, an object"));
    read.push_back({.name = std::move(*tool.mutable_name()),
                    .description = std::move(*tool.mutable_description()),
                    .parameters = std::move(parameters)});
  }
  return read;
}

Result<std::map<std::string, std::string>> read_template_arguments(
    const google::protobuf::Map<std::string, std::string>& arguments) {
  if (arguments.size() > kMostArguments) {
    return fail(
        invalid_field("chat_template_kwargs",
                      fmt::format("chat_template_kwargs takes at most {} arguments", kMostArguments)));
  }
  std::map<std::string, std::string> read;
  for (const auto& [name, text] : arguments) {
    if (is_json(text, false, &read[name])) continue;
    const std::string field = fmt::format("chat_template_kwargs[\"{}\"]", excerpt(name, 32));
    return fail(invalid_field(field, field + " must be JSON; a text has quotes"));
  }
  return read;
}

}  // namespace autoglm::protocol::grpc
