#include "engine/embedding/embed_preparation.h"

#include "engine/preparation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

namespace autoglm::engine {

namespace {

using Tokens = std::vector<TokenId>;
using Outputs = std::vector<std::vector<float>>;

Error too_long(const ModelView& model, const std::string& field, std::size_t tokens) {
  return invalid_field(
      field,
      fmt::format("This model's maximum context length is {} tokens. However, {} has {}. Please shorten it, "
                  "or raise `engine.context` where the model allows more.",
                  model.context_length, field, tokens),
      "context_length_exceeded");
}

/// No server of this model's would do better.
Error wrong_task(std::string message) {
  return Error{.code = ErrorCode::kInvalidArgument,
               .origin = Origin::kClient,
               .message = std::move(message),
               .reason = "wrong_task"};
}

/// Refuses a text that must be too long before megabytes of it are tokenized.
Result<void> check_bytes(const ModelView& model, const std::string& field, std::size_t bytes,
                         bool truncates) {
  const std::size_t longest = model.vocabulary->facts().longest_token;
  if (truncates || longest == 0 || bytes <= model.context_length * longest) return {};
  return fail(too_long(model, field, bytes / longest));
}

/// A text that is too long without its end, but with what the tokenizer puts around every text: a model may
/// make its vector of the last token.
Result<Tokens> shortened(const ModelView& model, const std::string& text, const Tokens& tokens) {
  auto plain = model.vocabulary->tokenize(text, false, true);
  if (!plain) return plain;
  const auto inner = std::ranges::search(tokens, *plain);
  const auto before = static_cast<std::size_t>(inner.begin() - tokens.begin());
  const auto behind = static_cast<std::size_t>(tokens.end() - inner.end());
  Tokens kept = tokens;
  if (inner.empty() || before + behind >= model.context_length) {
    kept.resize(model.context_length);
    return kept;
  }
  const auto first = kept.begin() + static_cast<std::ptrdiff_t>(model.context_length - behind);
  kept.erase(first, kept.end() - static_cast<std::ptrdiff_t>(behind));
  return kept;
}

Result<Tokens> tokens_of(const ModelView& model, const std::string& field, const Prompt& input,
                         bool truncates) {
  if (const auto* text = std::get_if<TextPrompt>(&input)) {
    if (auto checked = check_bytes(model, field, text->text.size(), truncates); !checked)
      return fail(checked.error());
    if (auto checked = check_text(input); !checked) return fail(checked.error());
  }
  auto tokens = engine::tokens_of(model, input, true);
  if (!tokens) {
    tokens.error().param = field;
    return tokens;
  }
  if (tokens->empty()) return fail(invalid_field(field, field + " is empty: there is nothing to read"));
  if (tokens->size() <= model.context_length) return tokens;
  if (!truncates) return fail(too_long(model, field, tokens->size()));
  const auto* text = std::get_if<TextPrompt>(&input);
  if (text != nullptr) return shortened(model, text->text, *tokens);
  tokens->resize(model.context_length);
  return tokens;
}

/// Counts the memory as it grows: a query is part of every pair.
Result<void> add(EmbedPreparation& preparation, Tokens tokens, const std::string& field) {
  const std::size_t output = preparation.model->outputs * sizeof(float) + 2 * sizeof(Tokens);
  preparation.tokens += static_cast<std::uint32_t>(tokens.size());
  preparation.bytes += tokens.size() * sizeof(TokenId) + output;
  if (preparation.bytes > kMostPreparedBytes) {
    return fail(
        invalid_field(field, fmt::format("up to {} these texts would take more than {} MiB; send fewer "
                                         "at a time",
                                         field, kMostPreparedBytes >> 20U)));
  }
  preparation.sequences.push_back(std::move(tokens));
  return {};
}

double length_of(std::span<const float> vector) {
  double sum = 0;
  for (const float value : vector) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

void normalize(std::vector<float>& vector) {
  const double length = length_of(vector);
  if (length == 0) return;
  for (float& value : vector) value = static_cast<float>(static_cast<double>(value) / length);
}

double cosine(std::span<const float> one, std::span<const float> other) {
  double product = 0;
  for (std::size_t i = 0; i < one.size(); ++i)
    product += static_cast<double>(one[i]) * static_cast<double>(other[i]);
  const double lengths = length_of(one) * length_of(other);
  return lengths == 0 ? 0 : product / lengths;
}

/// What stands before and behind the document in the sequence of a pair; the query is a part of it.
struct PairFrame {
  Tokens before;
  Tokens behind;
};

/// Adds a part of a template, in which special tokens are written, with the query, which stays text.
Result<void> add_template(const ModelView& model, std::string_view part, const std::string& query,
                          Tokens& tokens) {
  constexpr std::string_view kQuery = "{query}";
  const auto append = [&](std::string_view text, bool special) -> Result<void> {
    auto more = model.vocabulary->tokenize(text, false, special);
    if (!more) return fail(std::move(more).error());
    tokens.insert(tokens.end(), more->begin(), more->end());
    return {};
  };
  while (true) {
    const std::size_t at = part.find(kQuery);
    if (auto added = append(part.substr(0, at), true); !added) return added;
    if (at == std::string_view::npos) return {};
    if (auto added = append(query, false); !added) return added;
    part.remove_prefix(at + kQuery.size());
  }
}

/// Made once for a query, however many documents it is asked about.
Result<PairFrame> frame_of(const ModelView& model, const std::string& query) {
  constexpr std::string_view kDocument = "{document}";
  if (auto checked = check_bytes(model, "query", query.size(), false); !checked) return fail(checked.error());
  const PairFormat& pairs = model.pairs;
  PairFrame frame;
  if (!pairs.text.empty()) {
    const std::string_view text = pairs.text;
    const std::size_t at = std::min(text.find(kDocument), text.size());
    const std::size_t behind = std::min(at + kDocument.size(), text.size());
    if (auto added = add_template(model, text.substr(0, at), query, frame.before); !added)
      return fail(added.error());
    if (auto added = add_template(model, text.substr(behind), query, frame.behind); !added)
      return fail(added.error());
  } else {
    auto asked = model.vocabulary->tokenize(query, false, false);
    if (!asked) return fail(std::move(asked).error());
    for (const Tokens* part : std::initializer_list<const Tokens*>{&pairs.before, &*asked, &pairs.between})
      frame.before.insert(frame.before.end(), part->begin(), part->end());
    frame.behind = pairs.after;
  }
  if (frame.before.size() + frame.behind.size() < model.context_length) return frame;
  return fail(too_long(model, "query", frame.before.size() + frame.behind.size()));
}

/// What does not fit is left out of the document's end: what stands behind it must stay.
Result<Tokens> pair_tokens(const ModelView& model, const PairFrame& frame, const std::string& document,
                           const std::string& field, bool truncates) {
  if (auto checked = check_bytes(model, field, document.size(), truncates); !checked)
    return fail(checked.error());
  if (auto checked = check_text(TextPrompt{document}); !checked) return fail(checked.error());
  auto read = model.vocabulary->tokenize(document, false, false);
  if (!read) return read;
  const std::size_t around = frame.before.size() + frame.behind.size();
  if (around + read->size() > model.context_length) {
    if (!truncates) return fail(too_long(model, field, around + read->size()));
    read->resize(model.context_length - around);
  }
  Tokens tokens = frame.before;
  for (const Tokens* part : std::initializer_list<const Tokens*>{&*read, &frame.behind})
    tokens.insert(tokens.end(), part->begin(), part->end());
  if (tokens.empty()) return fail(invalid_field(field, field + " is empty: there is nothing to read"));
  return tokens;
}

std::string numbered(std::string_view field, std::size_t count, std::size_t i) {
  return count == 1 ? std::string(field) : fmt::format("{}[{}]", field, i);
}

/// Queries and documents as vectors; a score is the cosine of the two.
Result<EmbedPreparation> prepare_cosines(EmbedPreparation preparation, const ScoreRequest& work) {
  const ModelView& model = *preparation.model;
  for (const auto* texts : {&work.queries, &work.documents}) {
    for (std::size_t i = 0; i < texts->size(); ++i) {
      const std::string field = numbered(texts == &work.queries ? "query" : "documents", texts->size(), i);
      auto tokens = tokens_of(model, field, TextPrompt{(*texts)[i]}, work.truncates);
      if (!tokens) return fail(std::move(tokens).error());
      if (auto added = add(preparation, std::move(*tokens), field); !added) return fail(added.error());
    }
  }
  preparation.answer = [queries = work.queries.size()](Outputs outputs) -> WholeAnswer {
    ScoreResult result;
    for (std::size_t i = queries; i < outputs.size(); ++i)
      result.scores.push_back(cosine(outputs[queries == 1 ? 0 : i - queries], outputs[i]));
    return result;
  };
  return preparation;
}

}  // namespace

Result<EmbedPreparation> prepare(std::shared_ptr<const ModelView> model, const EmbedRequest& work) {
  if (model->task != ModelTask::kEmbed) {
    return fail(wrong_task(model->task == ModelTask::kRank
                               ? "this model ranks documents and makes no embeddings"
                               : "this model generates text and makes no embeddings: ask another "
                                 "model, or load it with `engine.task: embed`"));
  }
  if (work.dimensions && (*work.dimensions == 0 || *work.dimensions > model->outputs)) {
    return fail(invalid_field(
        "dimensions", fmt::format("dimensions must be 1 to {}, got {}", model->outputs, *work.dimensions)));
  }
  EmbedPreparation preparation{.model = std::move(model)};
  for (std::size_t i = 0; i < work.inputs.size(); ++i) {
    const std::string field = numbered("input", work.inputs.size(), i);
    auto tokens = tokens_of(*preparation.model, field, work.inputs[i], work.truncates);
    if (!tokens) return fail(std::move(tokens).error());
    if (auto added = add(preparation, std::move(*tokens), field); !added) return fail(added.error());
  }
  preparation.answer = [dimensions = work.dimensions,
                        normalized = work.normalized](Outputs outputs) -> WholeAnswer {
    for (std::vector<float>& vector : outputs) {
      if (dimensions) vector.resize(*dimensions);
      if (normalized) normalize(vector);
    }
    return EmbedResult{.vectors = std::move(outputs)};
  };
  return preparation;
}

Result<EmbedPreparation> prepare(std::shared_ptr<const ModelView> model, const ScoreRequest& work) {
  if (model->task == ModelTask::kGenerate) {
    return fail(
        wrong_task("this model generates text and scores no documents: ask another model, or load "
                   "it with `engine.task: rank`"));
  }
  EmbedPreparation preparation{.model = std::move(model)};
  if (preparation.model->task == ModelTask::kEmbed) return prepare_cosines(std::move(preparation), work);
  Result<PairFrame> frame;
  for (std::size_t i = 0; i < work.documents.size(); ++i) {
    const std::string field = numbered("documents", work.documents.size(), i);
    if (i < work.queries.size()) frame = frame_of(*preparation.model, work.queries[i]);
    if (!frame) return fail(frame.error());
    auto tokens = pair_tokens(*preparation.model, *frame, work.documents[i], field, work.truncates);
    if (!tokens) return fail(std::move(tokens).error());
    if (auto added = add(preparation, std::move(*tokens), field); !added) return fail(added.error());
  }
  preparation.answer = [](Outputs outputs) -> WholeAnswer {
    ScoreResult result;
    for (const std::vector<float>& output : outputs)
      result.scores.push_back(static_cast<double>(output.front()));
    return result;
  };
  return preparation;
}

std::size_t text_bytes(const EmbedRequest& work) {
  std::size_t bytes = 0;
  for (const Prompt& input : work.inputs) {
    if (const auto* text = std::get_if<TextPrompt>(&input)) bytes += text->text.size();
    if (const auto* tokens = std::get_if<TokenPrompt>(&input))
      bytes += tokens->tokens.size() * sizeof(TokenId);
  }
  return bytes;
}

std::size_t text_bytes(const ScoreRequest& work) {
  std::size_t bytes = 0;
  for (const auto* texts : {&work.queries, &work.documents})
    for (const std::string& text : *texts) bytes += text.size();
  return bytes;
}

}  // namespace autoglm::engine
