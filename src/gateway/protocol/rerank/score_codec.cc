#include "gateway/protocol/rerank/score_codec.h"

#include "gateway/protocol/json/fields.h"
#include "gateway/protocol/openai/outline.h"
#include "gateway/protocol/rerank/score_encoder.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <utility>

namespace autoglm::protocol::rerank {

namespace {

constexpr std::size_t kMostTexts = 2048;

struct ScoreBody {
  std::string model;
  ScoreRequest work;
  std::uint8_t priority = 0;
};

Result<void> read_model(const JsonValue& value, ScoreBody& body) { return value.read_string(body.model); }

template <std::vector<std::string> ScoreRequest::* kMember>
Result<void> read_texts(const JsonValue& value, ScoreBody& body) {
  auto texts = value.as_strings(kMostTexts);
  if (!texts) return fail(texts.error());
  if (texts->empty()) return fail(value.wrong("a text, or a list of texts"));
  body.work.*kMember = std::move(*texts);
  return {};
}

Result<void> read_truncation(const JsonValue& value, ScoreBody& body) {
  if (!value.as_integer(-1, -1)) return fail(value.wrong("-1, which keeps what the model can read"));
  body.work.truncates = true;
  return {};
}

Result<void> read_priority(const JsonValue& value, ScoreBody& body) {
  const auto priority = value.as_integer(0, 9);
  if (!priority) return fail(priority.error());
  body.priority = static_cast<std::uint8_t>(*priority);
  return {};
}

constexpr auto kScoreFields = std::to_array<JsonField<ScoreBody>>({
    {"model", read_model},
    {"text_1", read_texts<&ScoreRequest::queries>},
    {"text_2", read_texts<&ScoreRequest::documents>},
    {"truncate_prompt_tokens", read_truncation},
    {"priority", read_priority},
});

}  // namespace

Result<DecodedCall> ScoreCodec::decode(std::string_view bytes) const {
  ScoreBody body;
  const auto unknown = read_fields(bytes, body, kScoreFields);
  if (!unknown) return fail(unknown.error());
  const std::size_t queries = body.work.queries.size();
  const std::size_t documents = body.work.documents.size();
  for (const char* field : {"text_1", "text_2"}) {
    if ((field[5] == '1' ? queries : documents) > 0) continue;
    return fail(invalid_field(
        field,
        fmt::format("{} is missing: send e.g. {{\"text_1\": \"panda\", \"text_2\": [\"A bear.\"]}}", field),
        "missing_required_parameter"));
  }
  if (queries != 1 && queries != documents) {
    return fail(invalid_field(
        "text_1", fmt::format("text_1 must be one text, or one for each of the {} in text_2, got {}",
                              documents, queries)));
  }
  return DecodedCall{.model = std::move(body.model),
                     .work = std::move(body.work),
                     .protocol = WireBody::Protocol::kScore,
                     .priority = body.priority,
                     .unknown_fields = *unknown,
                     .make_encoder = [](AnswerFacts facts) {
                       return make_score_encoder(std::move(facts), {.shape = ScoreShape::kData});
                     }};
}

Result<DecodedCall> ScoreCodec::outline(std::string_view body) const {
  return openai::outline(*this, WireBody::Protocol::kScore, body);
}

}  // namespace autoglm::protocol::rerank
