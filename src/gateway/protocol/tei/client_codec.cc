#include "gateway/protocol/tei/client_codec.h"

#include "gateway/protocol/carried.h"
#include "gateway/protocol/json/object_writer.h"
#include "gateway/protocol/openai/frame_reader.h"
#include "gateway/protocol/whole_answers.h"

#include <fmt/ranges.h>

#include <utility>

namespace autoglm::protocol::tei {

namespace {

using openai::broken_answer;
using simdjson::dom::element;

Result<std::string> embed_body(const EmbedRequest& work, std::string_view protocol) {
  std::string out;
  JsonObjectWriter body(out);
  std::string& inputs = body.key("inputs");
  for (char before = '['; const Prompt& input : work.inputs) {
    if (std::holds_alternative<ChatPrompt>(input)) return fail(cannot_carry("messages", protocol));
    inputs += std::exchange(before, ',');
    if (const auto* tokens = std::get_if<TokenPrompt>(&input)) {
      inputs += fmt::format("[{}]", fmt::join(tokens->tokens, ","));
    } else {
      append_json_string(inputs, std::get<TextPrompt>(input).text);
    }
  }
  inputs += ']';
  body.flag("normalize", work.normalized);
  body.flag("truncate", work.truncates);
  body.number("dimensions", work.dimensions);
  body.end();
  return out;
}

Result<std::string> rerank_body(const ScoreRequest& work, std::string_view protocol) {
  if (work.queries.size() != 1) return fail(cannot_carry("queries", protocol, "must be one"));
  std::string out;
  JsonObjectWriter body(out);
  body.text("query", work.queries.front());
  std::string& texts = body.key("texts");
  for (char before = '['; const std::string& text : work.documents)
    append_json_string(texts += std::exchange(before, ','), text);
  texts += ']';
  body.flag("raw_scores", false);
  body.flag("truncate", work.truncates);
  body.end();
  return out;
}

/// A list of vectors; usage is not told.
Result<WholeDocument> read_embeddings(const element& document, std::size_t count) {
  simdjson::dom::array lists;
  if (document.get(lists) != simdjson::SUCCESS)
    return fail(broken_answer("the endpoint sent an answer without embeddings"));
  Vectors vectors(count);
  std::size_t index = 0;
  for (const element list : lists) {
    if (auto set = vectors.set(index++, list); !set) return fail(std::move(set).error());
  }
  auto taken = vectors.take();
  if (!taken) return fail(std::move(taken).error());
  return WholeDocument{std::move(*taken), Usage{}};
}

}  // namespace

Result<EndpointRequest> TeiClient::write(const InferenceRequest& request,
                                         const EndpointTerms& /*terms*/) const {
  if (const auto* embed = std::get_if<EmbedRequest>(&request.work)) {
    auto body = embed_body(*embed, name());
    if (!body) return fail(std::move(body).error());
    return EndpointRequest{.to = {.path = "/embed"}, .body = std::move(*body)};
  }
  if (const auto* score = std::get_if<ScoreRequest>(&request.work)) {
    auto body = rerank_body(*score, name());
    if (!body) return fail(std::move(body).error());
    return EndpointRequest{.to = {.path = "/rerank"}, .body = std::move(*body)};
  }
  const auto carried = check_carried(request, {}, name());  // it generates nothing
  return fail(carried ? cannot_carry("prompt", name()) : carried.error());
}

std::unique_ptr<AnswerReader> TeiClient::reader(const InferenceRequest& request,
                                                const EndpointTerms& /*terms*/) const {
  if (const auto* embed = std::get_if<EmbedRequest>(&request.work)) {
    return document_reader(
        [count = embed->inputs.size()](const element& document) { return read_embeddings(document, count); });
  }
  const auto& score = std::get<ScoreRequest>(request.work);
  return document_reader([count = score.documents.size()](const element& document) -> Result<WholeDocument> {
    auto scores = read_scores(document, "score", count);
    if (!scores) return fail(std::move(scores).error());
    return WholeDocument{std::move(*scores), Usage{}};
  });
}

}  // namespace autoglm::protocol::tei
