#include "gateway/protocol/openai/outline.h"

#include "gateway/protocol/json/fields.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace autoglm::protocol::openai {

namespace {

struct Outline {
  std::string model;
  bool stream = false;
  std::uint8_t priority = 0;
};

Result<void> read_outline_model(const JsonValue& value, Outline& outline) {
  return value.read_string(outline.model);
}

Result<void> read_outline_stream(const JsonValue& value, Outline& outline) {
  const auto stream = value.as_bool();
  if (!stream) return fail(stream.error());
  outline.stream = *stream;
  return {};
}

Result<void> read_outline_priority(const JsonValue& value, Outline& outline) {
  const auto priority = value.as_integer(0, 9);
  if (!priority) return fail(priority.error());
  outline.priority = static_cast<std::uint8_t>(*priority);
  return {};
}

constexpr auto kPassedFields =
    std::to_array<JsonField<Outline>>({{"model", read_outline_model}, {"stream", read_outline_stream}});
constexpr auto kOutlineFields = std::to_array<JsonField<Outline>>(
    {{"model", read_outline_model}, {"stream", read_outline_stream}, {"priority", read_outline_priority}});

std::string_view stand_in(WireBody::Protocol protocol, bool stream) {
  if (protocol == WireBody::Protocol::kEmbeddings) return R"({"input":"-"})";
  if (protocol == WireBody::Protocol::kRerank) return R"({"query":"","documents":[""]})";
  if (protocol == WireBody::Protocol::kScore) return R"({"text_1":"","text_2":""})";
  if (protocol == WireBody::Protocol::kChat) {
    return stream ? R"({"messages":[{"role":"user","content":""}],"stream":true})"
                  : R"({"messages":[{"role":"user","content":""}]})";
  }
  return stream ? R"({"prompt":"","stream":true})" : R"({"prompt":""})";
}

bool is_letter_of(char a, char b) { return a == b || (a >= 'A' && a <= 'Z' && a - 'A' + 'a' == b); }

/// Whether `text` begins with `lower`, which has no capitals.
bool begins_with(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() && std::ranges::equal(text.substr(0, lower.size()), lower, is_letter_of);
}

/// Whether the line is a part's head that says name="model", in any of the ways that servers read.
bool is_head_of_model(std::string_view line) {
  constexpr std::string_view kHead = "content-disposition:";
  if (!begins_with(line, kHead)) return false;
  for (std::size_t at = kHead.size(); (at = line.find(';', at)) != std::string_view::npos;) {
    at = std::min(line.find_first_not_of(" \t", at + 1), line.size());
    const std::string_view rest = line.substr(at);
    for (const std::string_view said : {"name=\"model\"", "name=model", "name*=utf-8''model"}) {
      if (!begins_with(rest, said)) continue;
      if (rest.size() == said.size() || std::string_view("; \t\r").contains(rest[said.size()])) return true;
    }
  }
  return false;
}

/// The values of the form's fields named "model", as parts of `body`.
std::vector<std::string_view> form_models(std::string_view content_type, std::string_view body) {
  std::vector<std::string_view> values;
  if (!begins_with(content_type, "multipart/form-data")) return values;
  // Moves from line to line, so that a body is scanned once, whatever it repeats.
  for (std::size_t at = 0; (at = body.find('\n', at)) != std::string_view::npos;) {
    ++at;
    const std::size_t line_end = body.find('\n', at);
    if (line_end == std::string_view::npos) break;
    if (!is_head_of_model(body.substr(at, line_end - at))) continue;
    const std::size_t head_end = body.find("\r\n\r\n", line_end - 1);
    if (head_end == std::string_view::npos) break;
    const std::size_t begin = head_end + 4;
    const std::size_t end = body.find("\r\n", begin);
    if (end == std::string_view::npos) break;  // no later line ends either
    values.push_back(body.substr(begin, end - begin));
    at = end;
  }
  return values;
}

}  // namespace

Result<DecodedCall> outline(const Codec& codec, WireBody::Protocol protocol, std::string_view body) {
  Outline said;
  if (auto read = read_fields(body, said, kOutlineFields); !read) return fail(std::move(read).error());
  auto call = codec.decode(stand_in(protocol, said.stream));
  if (!call) return call;
  call->model = std::move(said.model);
  call->work = OpaqueRequest();
  call->priority = said.priority;
  return call;
}

std::optional<std::string_view> form_model(std::string_view content_type, std::string_view body) {
  const auto values = form_models(content_type, body);
  return values.empty() ? std::nullopt : std::optional(values.front());
}

Result<PassedFacts> read_passed(std::string_view content_type, std::string_view body) {
  if (const auto models = form_models(content_type, body); !models.empty()) {
    // Which one counts is up to each server, and this one decides by it whether the client may go on.
    if (std::ranges::any_of(models, [&](std::string_view each) { return each != models.front(); }))
      return fail(invalid_field("model", "the form has several fields named model: send one"));
    return PassedFacts{.model = std::string(models.front())};
  }
  Outline said;
  // A body that is no JSON, or whose members of these names have other types, says nothing to us.
  if (!read_fields(body, said, kPassedFields)) return PassedFacts();
  return PassedFacts{.model = std::move(said.model), .stream = said.stream};
}

}  // namespace autoglm::protocol::openai
