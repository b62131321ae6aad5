#include "gateway/protocol/whole_answers.h"

#include "gateway/protocol/openai/frame_reader.h"
#include "gateway/protocol/openai/said_error.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace autoglm::protocol {

namespace {

using openai::broken_answer;
using simdjson::dom::element;

class DocumentReader final : public AnswerReader {
 public:
  explicit DocumentReader(ReadDocument read) : read_(std::move(read)) {}

  Result<void> read(std::string& bytes, bool over, EventBatch& batch) override {
    if (!over) return {};
    simdjson::dom::parser parser;
    element document;
    if (parser.parse(bytes).get(document) != simdjson::SUCCESS)
      return fail(broken_answer("the endpoint sent an answer that is no JSON"));
    if (document.is_object()) {
      if (auto error = openai::error_in(document, "the endpoint answered with an error"))
        return fail(std::move(*error));
    }
    auto said = read_(document);
    if (!said) return fail(std::move(said).error());
    batch.answer = std::make_shared<const WholeAnswer>(std::move(said->first));
    batch.usage = said->second;
    bytes.clear();
    return {};
  }
  bool reads_whole() const override { return true; }

 private:
  ReadDocument read_;
};

}  // namespace

std::unique_ptr<AnswerReader> document_reader(ReadDocument read) {
  return std::make_unique<DocumentReader>(std::move(read));
}

Result<void> Vectors::set(std::size_t index, const element& values) {
  simdjson::dom::array numbers;
  if (index >= vectors_.size() || !vectors_[index].empty() || values.get(numbers) != simdjson::SUCCESS)
    return fail(broken_answer("the endpoint sent an embedding that nobody asked for"));
  for (const element value : numbers) {
    double number = 0;
    if (value.get(number) != simdjson::SUCCESS)
      return fail(broken_answer("the endpoint sent an embedding that is no list of numbers"));
    // No vector has such a number, and JSON could not say the infinity that it would become.
    if (std::abs(number) > double{std::numeric_limits<float>::max()})
      return fail(broken_answer("the endpoint sent an embedding with a number that no float can be"));
    vectors_[index].push_back(static_cast<float>(number));
  }
  return {};
}

Result<EmbedResult> Vectors::take() {
  const auto differs = [&](const auto& one) { return one.empty() || one.size() != vectors_.front().size(); };
  if (std::ranges::any_of(vectors_, differs))
    return fail(
        broken_answer("the endpoint sent fewer embeddings than were asked for, or of different lengths"));
  return EmbedResult{.vectors = std::move(vectors_)};
}

Result<ScoreResult> read_scores(const element& list, std::string_view key, std::size_t count) {
  simdjson::dom::array items;
  if (list.get(items) != simdjson::SUCCESS)
    return fail(broken_answer("the endpoint sent an answer without scores"));
  std::vector<double> scores(count, std::numeric_limits<double>::quiet_NaN());
  std::size_t seen = 0;
  for (const element item : items) {
    std::uint64_t index = 0;
    double score = 0;
    if (item["index"].get(index) != simdjson::SUCCESS || item[key].get(score) != simdjson::SUCCESS ||
        index >= count || scores[index] == scores[index])
      return fail(broken_answer("the endpoint sent a score that is none, or that nobody asked for"));
    scores[index] = score;
    ++seen;
  }
  if (seen != count) return fail(broken_answer("the endpoint sent fewer scores than were asked for"));
  return ScoreResult{.scores = std::move(scores)};
}

std::string text_at(const element& object, std::string_view key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::uint32_t count_at(const element& object, std::string_view key) {
  std::uint64_t number = 0;
  if (object[key].get(number) != simdjson::SUCCESS) return 0;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(number, std::numeric_limits<std::uint32_t>::max()));
}

std::optional<element> parse_object(std::string_view json) {
  thread_local simdjson::dom::parser parser;
  element document;
  if (parser.parse(json.data(), json.size()).get(document) == simdjson::SUCCESS && document.is_object())
    return document;
  return std::nullopt;
}

}  // namespace autoglm::protocol
