#include "gateway/protocol/openai/format_fields.h"

#include "gateway/protocol/openai/regex_grammar.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

constexpr std::size_t kMostAnswers = 1000;
constexpr std::size_t kMostPattern = std::size_t{64} << 10U;  // translating it takes a few hundred ns a byte

using Kind = OutputFormat::Kind;

Result<void> set_format(const JsonValue& value, Kind kind, std::string definition, GenerateBody& body) {
  OutputFormat& format = body.work.format;
  if (format.kind != Kind::kText) {
    refuse(body,
           invalid_field(value.path(), fmt::format("{} and {} exclude each other: leave one of them out",
                                                   value.path(), format.field())));
    return {};
  }
  std::string name = value.path();
  if (name.starts_with("response_format")) name = "response_format";
  format = {.kind = kind, .definition = std::move(definition), .field_name = std::move(name)};
  return {};
}

Result<void> set_schema(const JsonValue& value, GenerateBody& body) {
  if (!value.is_object() && !value.is_string()) return fail(value.wrong("a JSON schema, an object"));
  return set_format(value, Kind::kJsonSchema, value.is_string() ? *value.as_string() : value.as_json(), body);
}

/// llama-server's `json_schema`, vLLM's `guided_json`.
Result<void> read_schema(const JsonValue& value, GenerateBody& body) {
  if (value.is_string() && value.as_string()->empty()) return {};
  return set_schema(value, body);
}

Result<void> read_grammar(const JsonValue& value, GenerateBody& body) {
  auto grammar = value.as_string();
  if (!grammar) return fail(grammar.error());
  if (grammar->empty()) return {};
  return set_format(value, Kind::kGrammar, std::move(*grammar), body);
}

Result<void> read_regex(const JsonValue& value, GenerateBody& body) {
  const auto pattern = value.as_string();
  if (!pattern) return fail(pattern.error());
  if (pattern->size() > kMostPattern) {
    return fail(invalid_field(value.path(), fmt::format("{} takes a pattern of at most {} bytes, got {}",
                                                        value.path(), kMostPattern, pattern->size())));
  }
  auto grammar = grammar_of_regex(*pattern);
  if (grammar) return set_format(value, Kind::kGrammar, std::move(*grammar), body);
  refuse(body, invalid_field(value.path(), fmt::format("{} is a pattern that cannot be kept to: {}",
                                                       value.path(), grammar.error().message)));
  return {};
}

Result<void> read_answers(const JsonValue& value, GenerateBody& body) {
  if (!value.is_array() || value.item_count() == 0) return fail(value.wrong("a list of at least one string"));
  const auto answers = value.as_strings(kMostAnswers);
  if (!answers) return fail(answers.error());
  std::string grammar = "root ::= ";
  for (const std::string& answer : *answers) {
    if (&answer != &answers->front()) grammar += " | ";
    grammar += grammar_of_text(answer);
  }
  return set_format(value, Kind::kGrammar, std::move(grammar), body);
}

/// Any object, asked for by a flag.
Result<void> read_object_flag(const JsonValue& value, GenerateBody& body) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  return *flag ? set_format(value, Kind::kJsonObject, "", body) : Result<void>();
}

/// vLLM's `structured_outputs`.
Result<void> read_structured_outputs(const JsonValue& value, GenerateBody& body) {
  return value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null() || key.starts_with('_')) return {};
    if (key == "json") return set_schema(item, body);
    if (key == "regex") return read_regex(item, body);
    if (key == "choice") return read_answers(item, body);
    if (key == "grammar") return read_grammar(item, body);
    if (key == "json_object") return read_object_flag(item, body);
    // The schema itself says which further members it allows, and so for white space.
    if (key == "disable_additional_properties" || key == "disable_any_whitespace") {
      const auto flag = item.as_bool();
      if (flag && !*flag) return {};
    }
    refuse(body, unsupported(item.path(), "null"));
    return {};
  });
}

/// OpenAI's `response_format.json_schema`; name, description, strict: it is always kept to strictly.
Result<void> read_named_schema(const JsonValue& value, GenerateBody& body) {
  bool found = false;
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key != "schema" || item.is_null()) return {};
    if (!item.is_object()) return fail(item.wrong("a JSON schema, an object"));
    found = true;
    return set_schema(item, body);
  });
  // OpenAI lets the schema be left out: then any object will do.
  return !visited || found ? visited : set_format(value, Kind::kJsonObject, "", body);
}

Result<void> read_response_format(const JsonValue& value, GenerateBody& body) {
  std::string type;
  bool formatted = false;
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    return key == "type" ? item.read_string(type) : Result<void>();
  });
  if (!visited) return visited;
  if (type == "text") return {};
  visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    const bool named = type == "json_schema" && key == "json_schema";
    const bool plain = (type == "json_schema" || type == "json_object") && key == "schema";
    if (item.is_null() || (!named && !plain)) return {};
    formatted = true;
    return named ? read_named_schema(item, body) : set_schema(item, body);
  });
  if (!visited || formatted) return visited;
  if (type == "json_object") return set_format(value, Kind::kJsonObject, "", body);
  refuse(body,
         invalid_field(value.path() + (type == "json_schema" ? ".json_schema" : ".type"),
                       value.path() +
                           R"( must be {"type": "text"}, {"type": "json_object"} or {"type": "json_schema", )"
                           R"("json_schema": {"name": "…", "schema": {…}}})"));
  return {};
}

constexpr auto kFormatFields = std::to_array<JsonField<GenerateBody>>({
    {"response_format", read_response_format},
    {"grammar", read_grammar},
    {"json_schema", read_schema},
    {"structured_outputs", read_structured_outputs},
    {"guided_json", read_schema},
    {"guided_regex", read_regex},
    {"guided_choice", read_answers},
    {"guided_grammar", read_grammar},
    {"guided_json_object", read_object_flag},
});

}  // namespace

std::span<const JsonField<GenerateBody>> format_fields() { return kFormatFields; }

}  // namespace autoglm::protocol::openai
