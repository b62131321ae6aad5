#include "gateway/protocol/grpc/ranking_codecs.h"

#include "gateway/protocol/grpc/fields.h"
#include "gateway/protocol/grpc/frames.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

namespace autoglm::protocol::grpc {

namespace {

constexpr int kMostTexts = 2048;

void fill(v1::Usage& to, const Usage& from) {
  to.set_prompt_tokens(from.prompt_tokens);
  to.set_cached_tokens(from.cached_tokens);
  to.set_completion_tokens(from.completion_tokens);
}

/// Keeps the answer of the only batch, and writes the message at the end.
template <class Response, class Answer>
class OnceEncoder final : public AnswerEncoder {
 public:
  using Fill = std::move_only_function<void(const Answer&, Response&) const>;
  OnceEncoder(std::string model, Fill fill) : fill_(std::move(fill)) { message_.set_model(std::move(model)); }

  std::string_view content_type() const override { return "application/grpc"; }
  void events(const EventBatch& batch, std::string& /*out*/) override {
    if (const auto* answer = batch.answer ? std::get_if<Answer>(batch.answer.get()) : nullptr)
      fill_(*answer, message_);
  }
  void end(const Usage& usage, std::string& out) override {
    fill(*message_.mutable_usage(), usage);
    append_message(out, message_);
  }
  void failure(const Error& /*error*/, std::string& /*out*/) override {}

 private:
  Response message_;
  Fill fill_;
};

Error wrong_count(std::string_view field, int count) {
  return invalid_field(std::string(field),
                       fmt::format("{} must have 1 to {} entries, got {}", field, kMostTexts, count));
}

Result<Prompt> read_input(v1::Input& input, int index) {
  if (input.has_text()) return TextPrompt{std::move(*input.mutable_text())};
  if (input.has_tokens()) {
    auto tokens = read_tokens(input.tokens().ids(), fmt::format("inputs[{}].tokens.ids", index));
    if (!tokens) return fail(std::move(tokens).error());
    return std::move(*tokens);
  }
  const std::string field = fmt::format("inputs[{}]", index);
  return fail(invalid_field(field, field + " is empty: set text or tokens", "missing_required_parameter"));
}

/// How the results of a rerank are to be shown.
struct Shown {
  std::size_t most;
  std::vector<std::string> documents;  // empty: without
};

void rank(const ScoreResult& result, const Shown& shown, v1::RerankResponse& message) {
  std::vector<std::uint32_t> order(result.scores.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
    return result.scores[a] != result.scores[b] ? result.scores[a] > result.scores[b] : a < b;
  });
  order.resize(std::min(order.size(), shown.most));
  for (const std::uint32_t index : order) {
    v1::RerankResult& each = *message.add_results();
    each.set_index(index);
    each.set_relevance_score(result.scores[index]);
    if (index < shown.documents.size()) each.set_document(shown.documents[index]);
  }
}

}  // namespace

Result<DecodedCall> EmbedCodec::decode(std::string_view bytes) const {
  auto message = parse<v1::EmbedRequest>(bytes);
  if (!message) return fail(std::move(message).error());
  if (message->inputs().empty() || message->inputs_size() > kMostTexts)
    return fail(wrong_count("inputs", message->inputs_size()));
  EmbedRequest work{.inputs = {},
                    .normalized = !message->has_normalize() || message->normalize(),
                    .truncates = message->truncate()};
  if (message->has_dimensions()) {
    if (message->dimensions() == 0)
      return fail(invalid_field("dimensions", "dimensions must be at least 1, got 0"));
    work.dimensions = message->dimensions();
  }
  for (v1::Input& input : *message->mutable_inputs()) {
    auto prompt = read_input(input, static_cast<int>(work.inputs.size()));
    if (!prompt) return fail(std::move(prompt).error());
    work.inputs.push_back(std::move(*prompt));
  }
  return DecodedCall{.model = std::move(*message->mutable_model()),
                     .work = std::move(work),
                     .make_encoder = [](AnswerFacts facts) -> std::unique_ptr<AnswerEncoder> {
                       return std::make_unique<OnceEncoder<v1::EmbedResponse, EmbedResult>>(
                           std::move(facts.model), [](const EmbedResult& result, v1::EmbedResponse& to) {
                             for (const auto& vector : result.vectors)
                               to.add_embeddings()->mutable_values()->Add(vector.begin(), vector.end());
                           });
                     }};
}

Result<DecodedCall> RerankCodec::decode(std::string_view bytes) const {
  auto message = parse<v1::RerankRequest>(bytes);
  if (!message) return fail(std::move(message).error());
  if (message->documents().empty() || message->documents_size() > kMostTexts)
    return fail(wrong_count("documents", message->documents_size()));
  if (message->query().empty())
    return fail(invalid_field("query", "query is missing", "missing_required_parameter"));
  ScoreRequest work{
      .queries = {std::move(*message->mutable_query())}, .documents = {}, .truncates = message->truncate()};
  for (std::string& document : *message->mutable_documents()) work.documents.push_back(std::move(document));
  auto shown = std::make_shared<Shown>(Shown{.most = work.documents.size(), .documents = {}});
  if (message->has_top_n()) {
    if (message->top_n() == 0) return fail(invalid_field("top_n", "top_n must be at least 1, got 0"));
    shown->most = message->top_n();
  }
  if (message->return_documents()) shown->documents = work.documents;
  return DecodedCall{
      .model = std::move(*message->mutable_model()),
      .work = std::move(work),
      .make_encoder = [shown = std::shared_ptr<const Shown>(std::move(shown))](
                          AnswerFacts facts) -> std::unique_ptr<AnswerEncoder> {
        return std::make_unique<OnceEncoder<v1::RerankResponse, ScoreResult>>(
            std::move(facts.model),
            [shown](const ScoreResult& result, v1::RerankResponse& to) { rank(result, *shown, to); });
      }};
}

}  // namespace autoglm::protocol::grpc
