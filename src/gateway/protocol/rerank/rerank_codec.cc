#include "gateway/protocol/rerank/rerank_codec.h"

#include "gateway/protocol/json/fields.h"
#include "gateway/protocol/openai/outline.h"
#include "gateway/protocol/rerank/score_encoder.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <string>
#include <utility>

namespace autoglm::protocol::rerank {

namespace {

constexpr std::size_t kMostDocuments = 2048;

struct RerankBody {
  std::string model;
  std::optional<std::string> query;
  ScoreRequest work;
  bool is_tei = false;
  std::optional<std::size_t> top;
  bool shows_documents = false;
  bool raw = false;
  std::optional<bool> truncates;
  std::uint8_t priority = 0;
};

Result<void> read_model(const JsonValue& value, RerankBody& body) { return value.read_string(body.model); }

Result<void> read_query(const JsonValue& value, RerankBody& body) {
  return value.read_string(body.query.emplace());
}

/// A text, or an object with one.
Result<void> read_document(const JsonValue& item, std::string& text) {
  if (item.is_string()) return item.read_string(text);
  if (!item.is_object()) return fail(item.wrong("a text, or an object with \"text\""));
  bool found = false;
  auto visited = item.for_each_member([&](std::string_view key, const JsonValue& member) -> Result<void> {
    if (key != "text") return {};
    found = true;
    return member.read_string(text);
  });
  if (!visited || found) return visited;
  return fail(item.wrong("a text, or an object with \"text\": only texts are ranked"));
}

Result<void> read_documents(const JsonValue& value, RerankBody& body) {
  auto& documents = body.work.documents;
  documents.clear();
  return value.for_each_item([&](const JsonValue& item) -> Result<void> {
    if (documents.size() == kMostDocuments)
      return fail(
          invalid_field(value.path(), fmt::format("{} takes at most {}", value.path(), kMostDocuments)));
    return read_document(item, documents.emplace_back());
  });
}

Result<void> read_texts(const JsonValue& value, RerankBody& body) {
  body.is_tei = true;
  return read_documents(value, body);
}

Result<void> read_top(const JsonValue& value, RerankBody& body) {
  const auto top = value.as_integer(1, INT32_MAX);
  if (!top) return fail(top.error());
  body.top = static_cast<std::size_t>(*top);
  return {};
}

template <bool RerankBody::* kMember>
Result<void> read_flag(const JsonValue& value, RerankBody& body) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  body.*kMember = *flag;
  return {};
}

Result<void> read_truncate(const JsonValue& value, RerankBody& body) {
  const auto flag = value.as_bool();
  if (!flag) return fail(flag.error());
  body.truncates = *flag;
  return {};
}

Result<void> read_priority(const JsonValue& value, RerankBody& body) {
  const auto priority = value.as_integer(0, 9);
  if (!priority) return fail(priority.error());
  body.priority = static_cast<std::uint8_t>(*priority);
  return {};
}

constexpr auto kRerankFields = std::to_array<JsonField<RerankBody>>({
    {"model", read_model},
    {"query", read_query},
    {"documents", read_documents},
    {"texts", read_texts},
    {"top_n", read_top},
    {"return_documents", read_flag<&RerankBody::shows_documents>},
    {"return_text", read_flag<&RerankBody::shows_documents>},
    {"raw_scores", read_flag<&RerankBody::raw>},
    {"truncate", read_truncate},
    {"priority", read_priority},
});

Result<void> check(const RerankBody& body) {
  const auto missing = [](const char* field) {
    return fail(invalid_field(field,
                              fmt::format("{} is missing: send e.g. {{\"query\": \"What is a panda?\", "
                                          "\"documents\": [\"A bear.\", \"A car.\"]}}",
                                          field),
                              "missing_required_parameter"));
  };
  if (!body.query) return missing("query");
  if (body.work.documents.empty()) return missing(body.is_tei ? "texts" : "documents");
  return {};
}

}  // namespace

Result<DecodedCall> RerankCodec::decode(std::string_view bytes) const {
  RerankBody body;
  const auto unknown = read_fields(bytes, body, kRerankFields);
  if (!unknown) return fail(unknown.error());
  if (auto checked = check(body); !checked) return fail(checked.error());
  ScoreOptions options{.shape = body.is_tei ? ScoreShape::kRanks : ScoreShape::kResults,
                       .top = body.top,
                       .documents = {},
                       .raw = body.raw};
  if (body.shows_documents) options.documents = body.work.documents;
  body.work.queries = {std::move(*body.query)};
  // TEI refuses what is too long unless it is told otherwise; the others cut it.
  body.work.truncates = body.truncates.value_or(!body.is_tei);
  return DecodedCall{.model = std::move(body.model),
                     .work = std::move(body.work),
                     .protocol = body.is_tei ? WireBody::Protocol::kNone : WireBody::Protocol::kRerank,
                     .priority = body.priority,
                     .unknown_fields = *unknown,
                     .make_encoder = [options = std::move(options)](AnswerFacts facts) {
                       return make_score_encoder(std::move(facts), options);
                     }};
}

Result<DecodedCall> RerankCodec::outline(std::string_view body) const {
  return openai::outline(*this, WireBody::Protocol::kRerank, body);
}

}  // namespace autoglm::protocol::rerank
