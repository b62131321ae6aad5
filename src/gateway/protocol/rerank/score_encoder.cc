#include "gateway/protocol/rerank/score_encoder.h"

#include "base/json_string.h"
#include "gateway/protocol/openai/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <utility>

namespace autoglm::protocol::rerank {

namespace {

/// A logit of infinite size is no JSON.
double logit(double probability) {
  constexpr double kLeast = 1e-12;
  const double inside = std::clamp(probability, kLeast, 1 - kLeast);
  return std::log(inside / (1 - inside));
}

class ScoreEncoder final : public AnswerEncoder {
 public:
  ScoreEncoder(AnswerFacts facts, ScoreOptions options)
      : facts_(std::move(facts)), options_(std::move(options)) {}

  std::string_view content_type() const override { return "application/json"; }
  void events(const EventBatch& batch, std::string& /*out*/) override {
    const auto* result = batch.answer ? std::get_if<ScoreResult>(&*batch.answer) : nullptr;
    if (result != nullptr) scores_ = result->scores;
    for (double& score : scores_)
      score = std::isfinite(score) ? score : 0;  // neither JSON nor an order has NaN
  }
  void end(const Usage& usage, std::string& out) override {
    if (options_.shape != ScoreShape::kRanks) append_head(out);
    append_scores(out);
    if (options_.shape == ScoreShape::kRanks) return;
    fmt::format_to(std::back_inserter(out), R"(,"usage":{{"prompt_tokens":{0},"total_tokens":{0}}})",
                   usage.prompt_tokens);
    if (options_.shape == ScoreShape::kResults)
      out += R"(,"meta":{"api_version":{"version":"2"},"billed_units":{"search_units":1}})";
    out += '}';
  }
  void failure(const Error& error, std::string& out) override { out = openai::error_body(error); }

 private:
  void append_head(std::string& out) const {
    const bool ranks = options_.shape == ScoreShape::kResults;
    out += R"({"id":)";
    append_json_string(out, (ranks ? "rerank-" : "score-") + facts_.id);
    fmt::format_to(std::back_inserter(out), R"(,"object":"list","created":{},"model":)", facts_.created);
    append_json_string(out, facts_.model);
    out += ranks ? R"(,"results":)" : R"(,"data":)";
  }

  /// The documents' numbers in the order of the answer.
  std::vector<std::size_t> order() const {
    std::vector<std::size_t> order(scores_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (options_.shape == ScoreShape::kData) return order;
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
      return scores_[a] != scores_[b] ? scores_[a] > scores_[b] : a < b;
    });
    order.resize(std::min(order.size(), options_.top.value_or(order.size())));
    return order;
  }

  void append_scores(std::string& out) const {
    out += '[';
    bool first = true;
    for (const std::size_t i : order()) {
      if (!std::exchange(first, false)) out += ',';
      append_score(i, out);
    }
    out += ']';
  }

  void append_score(std::size_t i, std::string& out) const {
    const double score = options_.raw ? logit(scores_[i]) : scores_[i];
    constexpr const char* kNames[] = {R"("relevance_score")", R"("score")", R"("object":"score","score")"};
    fmt::format_to(std::back_inserter(out), R"({{"index":{},{}:{})", i,
                   kNames[static_cast<std::size_t>(options_.shape)], score);
    if (i < options_.documents.size()) {
      const bool nested = options_.shape == ScoreShape::kResults;
      out += nested ? R"(,"document":{"text":)" : R"(,"text":)";
      append_json_string(out, options_.documents[i]);
      if (nested) out += '}';
    }
    out += '}';
  }

  AnswerFacts facts_;
  ScoreOptions options_;
  std::vector<double> scores_;
};

}  // namespace

std::unique_ptr<AnswerEncoder> make_score_encoder(AnswerFacts facts, ScoreOptions options) {
  return std::make_unique<ScoreEncoder>(std::move(facts), std::move(options));
}

}  // namespace autoglm::protocol::rerank
