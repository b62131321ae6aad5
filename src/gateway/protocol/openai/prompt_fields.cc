#include "gateway/protocol/openai/prompt_fields.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

constexpr std::size_t kMostPrompts = 256;
constexpr std::int64_t kMaxTokenId = std::numeric_limits<TokenId>::max();

Result<void> read_created(const JsonValue& value, GenerateBody& body) {
  const auto seconds = value.as_integer(0, std::numeric_limits<std::int64_t>::max());
  if (!seconds) return fail(seconds.error());
  body.created = *seconds;
  return {};
}

}  // namespace

Result<void> read_token_list(const JsonValue& value, std::vector<TokenId>& tokens) {
  return value.for_each_item([&](const JsonValue& item) -> Result<void> {
    const auto token = item.as_integer(0, kMaxTokenId);
    if (!token) return fail(token.error());
    tokens.push_back(static_cast<TokenId>(*token));
    return {};
  });
}

Result<void> read_resume(const JsonValue& value, GenerateBody& body) {
  auto& resume = body.work.resume;
  resume.clear();
  auto visited = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key == "created") return read_created(item, body);
    if (key != "token_ids") return {};
    bool nested = false;
    auto first = item.for_each_item([&](const JsonValue& inner) -> Result<void> {
      nested |= inner.is_array();
      return {};
    });
    if (!first || !nested) return read_token_list(item, resume.emplace_back());
    return item.for_each_item(
        [&](const JsonValue& inner) { return read_token_list(inner, resume.emplace_back()); });
  });
  if (!visited || !resume.empty()) return visited;
  return fail(invalid_field("resume.token_ids", "resume.token_ids is missing", "missing_required_parameter"));
}

Result<void> read_prompts(const JsonValue& value, GenerateBody& body) {
  body.has_prompt = true;
  return read_prompt_list(value, kMostPrompts, body.work.prompts);
}

Result<void> read_prompt_list(const JsonValue& value, std::size_t most, std::vector<Prompt>& prompts) {
  prompts.clear();
  if (value.is_string()) {
    prompts.emplace_back(TextPrompt{*value.as_string()});
    return {};
  }
  if (!value.is_array()) return fail(value.wrong("a string, a list of token ids, or a list of these"));
  TokenPrompt tokens;
  auto visited = value.for_each_item([&](const JsonValue& item) -> Result<void> {
    const bool whole = item.is_string() || item.is_array();
    if (whole ? !tokens.tokens.empty() : !prompts.empty())
      return fail(value.wrong("a list of token ids, or a list of prompts: not both"));
    if (item.is_string()) {
      prompts.emplace_back(TextPrompt{*item.as_string()});
    } else if (item.is_array()) {
      auto& inner = std::get<TokenPrompt>(prompts.emplace_back(TokenPrompt{}));
      if (auto read = read_token_list(item, inner.tokens); !read) return read;
    } else {
      const auto token = item.as_integer(0, kMaxTokenId);
      if (!token) return fail(item.wrong("a token id or a prompt"));
      tokens.tokens.push_back(static_cast<TokenId>(*token));
    }
    if (prompts.size() <= most) return {};
    return fail(invalid_field(value.path(),
                              fmt::format("{} takes at most {} {}s", value.path(), most, value.path())));
  });
  if (!visited) return visited;
  if (prompts.empty()) prompts.emplace_back(std::move(tokens));
  return {};
}

Result<void> read_parse_special(const JsonValue& value, GenerateBody& body) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  body.parse_special = *flag;
  return {};
}

Result<void> read_suffix(const JsonValue& value, GenerateBody& body) {
  return value.read_string(body.suffix);
}

Result<void> settle_prompts(GenerateBody& body) {
  for (Prompt& prompt : body.work.prompts) {
    if (auto* text = std::get_if<TextPrompt>(&prompt)) {
      text->parse_special = body.parse_special;
      text->suffix = body.suffix;
    } else if (!body.suffix.empty()) {
      refuse(body, invalid_field("suffix", "suffix needs a prompt that is a text"));
    }
  }
  if (!body.suffix.empty() && body.work.echo)
    refuse(body, invalid_field("suffix", "suffix and echo exclude each other: leave one of them out"));
  return {};
}

}  // namespace autoglm::protocol::openai
