#include "gateway/protocol/kserve/infer_answer.h"

#include "base/json_string.h"
#include "gateway/protocol/kserve/error.h"
#include "gateway/protocol/kserve/request.h"
#include "gateway/protocol/kserve/tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

namespace autoglm::protocol::kserve {

namespace {

using Kind = OutputPlan::Kind;

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::kText:
      return "text_output";
    case Kind::kFinish:
      return "finish_reason";
    case Kind::kInputTokens:
      return "num_input_tokens";
    case Kind::kOutputTokens:
      return "num_output_tokens";
    case Kind::kEmbedding:
      return "embedding";
  }
  return "";
}

std::string_view datatype_of(Kind kind) {
  if (kind == Kind::kEmbedding) return "FP32";
  return kind == Kind::kText || kind == Kind::kFinish ? "BYTES" : "UINT32";
}

class TensorsEncoder final : public AnswerEncoder {
 public:
  TensorsEncoder(const AnswerFacts& facts, std::shared_ptr<const InferPlan> plan)
      : model_(facts.model), plan_(std::move(plan)), choices_(plan_->beginnings.size()) {}

  std::string_view content_type() const override {
    return plan_->is_binary() ? "application/octet-stream" : "application/json";
  }

  std::size_t kept() const override {
    std::size_t bytes = 0;
    for (const std::string& beginning : plan_->beginnings) bytes += beginning.size();
    return bytes;
  }

  void events(const EventBatch& batch, std::string& /*out*/) override {
    if (batch.answer) answer_ = batch.answer;
    for (const TokenEvent& event : batch.events) {
      Choice& choice = choices_[event.choice];
      choice.text += event.text;
      choice.tokens += static_cast<std::uint32_t>(event.tokens.size());
      choice.pieces += event.text.empty() ? 0 : 1;
      if (event.finish) choice.finish = event.finish;
    }
  }

  void end(const Usage& usage, std::string& out) override {
    const std::size_t begin = out.size();
    std::string behind;
    out += fmt::format(R"({{"model_name":{},"model_version":"{}")", json_string(model_), kVersion);
    if (!plan_->id.empty()) out.append(R"(,"id":)").append(json_string(plan_->id));
    out += R"(,"outputs":[)";
    for (const OutputPlan& output : plan_->outputs) {
      if (&output != &plan_->outputs.front()) out += ',';
      append_output(out, behind, output, usage);
    }
    out += "]}";
    if (plan_->is_binary()) *plan_->json_size = out.size() - begin;
    out += behind;
  }

  void failure(const Error& error, std::string& out) override { out = error_body(error); }

 private:
  struct Choice {
    std::string text;          // without its beginning
    std::uint32_t tokens = 0;  // by their ids
    std::uint32_t pieces = 0;  // texts that came; about as many, where an endpoint tells no ids
    std::optional<FinishReason> finish;
  };

  const std::vector<std::vector<float>>& vectors() const {
    static const std::vector<std::vector<float>> none;
    const auto* result = answer_ ? std::get_if<EmbedResult>(answer_.get()) : nullptr;
    return result != nullptr ? result->vectors : none;
  }

  std::uint32_t count_of(const Choice& choice, const Usage& usage) const {
    if (choice.tokens > 0) return choice.tokens;
    return choices_.size() == 1 ? usage.completion_tokens : choice.pieces;
  }

  std::string shape_of(Kind kind) const {
    if (kind == Kind::kInputTokens) return "1";
    if (kind != Kind::kEmbedding) return std::to_string(choices_.size());
    return fmt::format("{},{}", vectors().size(), vectors().empty() ? 0 : vectors().front().size());
  }

  /// Calls `visit` with each element, a text or a number.
  template <class Visit>
  void for_each_element(Kind kind, const Usage& usage, Visit&& visit) const {
    if (kind == Kind::kInputTokens) {
      visit(usage.prompt_tokens);
    } else if (kind == Kind::kEmbedding) {
      for (const auto& vector : vectors())
        for (const float number : vector) visit(std::isfinite(number) ? number : 0.0F);
    } else {
      for (std::size_t i = 0; i < choices_.size(); ++i) {
        const Choice& choice = choices_[i];
        if (kind == Kind::kText) {
          const std::string text = plan_->beginnings[i] + choice.text;
          visit(std::string_view(text));
        }
        if (kind == Kind::kFinish) visit(to_string(choice.finish.value_or(FinishReason::kStop)));
        if (kind == Kind::kOutputTokens) visit(count_of(choice, usage));
      }
    }
  }

  void append_output(std::string& out, std::string& behind, const OutputPlan& output,
                     const Usage& usage) const {
    out += fmt::format(R"({{"name":"{}","datatype":"{}","shape":[{}],)", name_of(output.kind),
                       datatype_of(output.kind), shape_of(output.kind));
    if (output.binary) {
      const std::size_t begin = behind.size();
      for_each_element(output.kind, usage, [&](auto element) { append_binary(behind, element); });
      out += fmt::format(R"("parameters":{{"binary_data_size":{}}}}})", behind.size() - begin);
      return;
    }
    out += R"("data":[)";
    bool first = true;
    for_each_element(output.kind, usage, [&](auto element) {
      if (!std::exchange(first, false)) out += ',';
      if constexpr (std::is_same_v<decltype(element), std::string_view>) {
        append_json_string(out, element);
      } else {
        fmt::format_to(std::back_inserter(out), "{}", element);
      }
    });
    out += "]}";
  }

  std::string model_;
  std::shared_ptr<const InferPlan> plan_;
  std::vector<Choice> choices_;
  std::shared_ptr<const WholeAnswer> answer_;
};

}  // namespace

bool InferPlan::is_binary() const { return std::ranges::any_of(outputs, &OutputPlan::binary); }

std::unique_ptr<AnswerEncoder> make_infer_encoder(const AnswerFacts& facts,
                                                  std::shared_ptr<const InferPlan> plan) {
  return std::make_unique<TensorsEncoder>(facts, std::move(plan));
}

}  // namespace autoglm::protocol::kserve
