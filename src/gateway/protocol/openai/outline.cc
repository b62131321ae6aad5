#include "gateway/protocol/openai/outline.h"

#include "gateway/protocol/json/fields.h"

#include <array>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

struct Outline {
  std::string model;
  bool stream = false;
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

constexpr auto kOutlineFields =
    std::to_array<JsonField<Outline>>({{"model", read_outline_model}, {"stream", read_outline_stream}});

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

}  // namespace

Result<DecodedCall> outline(const Codec& codec, WireBody::Protocol protocol, std::string_view body) {
  Outline said;
  if (auto read = read_fields(body, said, kOutlineFields); !read) return fail(std::move(read).error());
  auto call = codec.decode(stand_in(protocol, said.stream));
  if (!call) return call;
  call->model = std::move(said.model);
  call->work = OpaqueRequest();
  return call;
}

std::optional<std::string_view> form_model(std::string_view content_type, std::string_view body) {
  if (!content_type.starts_with("multipart/form-data")) return std::nullopt;
  constexpr std::string_view kHead = "\r\nContent-Disposition: form-data";
  // Moves from line to line, so that a body is scanned once, whatever it repeats.
  for (std::size_t at = 0; (at = body.find(kHead, at)) != std::string_view::npos; at += kHead.size()) {
    const std::size_t line_end = std::min(body.find("\r\n", at + kHead.size()), body.size());
    const std::string_view line = body.substr(at, line_end - at);
    // In a part's head, and not at the end of a longer name.
    if (!line.contains(R"( name="model")") && !line.contains(R"(;name="model")")) continue;
    const std::size_t head_end = body.find("\r\n\r\n", line_end);
    if (head_end == std::string_view::npos) break;
    const std::size_t begin = head_end + 4;
    const std::size_t end = body.find("\r\n", begin);
    if (end == std::string_view::npos) break;  // no later line ends either
    return body.substr(begin, end - begin);
  }
  return std::nullopt;
}

PassedFacts read_passed(std::string_view content_type, std::string_view body) {
  if (const auto model = form_model(content_type, body)) return {.model = std::string(*model)};
  Outline said;
  // A body that is no JSON, or whose members of these names have other types, says nothing to us.
  if (!read_fields(body, said, kOutlineFields)) return {};
  return {.model = std::move(said.model), .stream = said.stream};
}

}  // namespace autoglm::protocol::openai
