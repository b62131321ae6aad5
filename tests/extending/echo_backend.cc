#include "echo_backend.h"

#include <numeric>
#include <set>

namespace autoglm::extending {
using namespace engine;
/// Tokens are the bytes of a text, and no token ends an answer.
class ByteVocabulary final : public Vocabulary {
 public:
  ByteVocabulary() { std::iota(bytes_.begin(), bytes_.end(), '\0'); }
  const VocabularyFacts& facts() const override { return facts_; }
  Result<std::vector<TokenId>> tokenize(std::string_view text, bool, bool) const override {
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    return std::vector<TokenId>(bytes, bytes + text.size());
  }
  std::string_view piece(TokenId token) const override { return {bytes_.data() + token, 1}; }

 private:
  VocabularyFacts facts_{.size = 256, .longest_token = 1};
  std::string bytes_ = std::string(256, '\0');
};

/// The next token is the one six positions before it. A cell is a row and the sequences that have it.
class EchoStepper final : public Stepper {
 public:
  explicit EchoStepper(const StepperFacts& facts) : facts_(facts) {}
  const StepperFacts& facts() const override { return facts_; }
  DecodeStatus decode(std::span<const BatchRow> rows, std::uint32_t, const StopFlag& stop) override {
    if (stop.is_set()) return DecodeStatus::kAborted;
    if (cells_.size() + rows.size() > facts_.cache_cells) return DecodeStatus::kNoRoom;
    for (const BatchRow& row : rows) cells_.push_back({row, {row.sequence}});
    logits_.assign(rows.size(), std::vector<float>(256));
    for (std::size_t i = 0; i < rows.size(); ++i)
      for (const auto& [row, owners] : cells_)
        if (row.position == rows[i].position - 5 && owners.contains(rows[i].sequence))
          logits_[i][static_cast<std::size_t>(row.token)] = 1;
    return DecodeStatus::kOk;
  }
  std::span<float> logits(std::size_t row) override { return logits_[row]; }
  void apply(const KvOperation& change) override {
    for (auto& [row, owners] : cells_) {
      const auto at = static_cast<std::uint32_t>(row.position);
      if (!owners.contains(change.from) || at < change.begin || at >= change.end) continue;
      if (change.kind == KvOperation::Kind::kShare) owners.insert(change.to);
      if (change.kind == KvOperation::Kind::kForget) owners.erase(change.from);
    }
    std::erase_if(cells_, [](const auto& cell) { return cell.second.empty(); });
  }

 private:
  StepperFacts facts_;
  std::vector<std::pair<BatchRow, std::set<std::int32_t>>> cells_;
  std::vector<std::vector<float>> logits_;
};

Backend make_echo_backend(const StepperFacts& facts) {
  return {.vocabulary = std::make_shared<ByteVocabulary>(), .stepper = std::make_unique<EchoStepper>(facts)};
}
}  // namespace autoglm::extending
