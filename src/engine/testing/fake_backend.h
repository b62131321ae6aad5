#pragma once

#include "engine/backends/backend.h"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::engine {

/// Of the fake backend: its vocabulary, whose tokens are bytes, its chat format and its stepper.
struct FakeOptions {
  std::uint32_t context = 512;
  std::uint32_t cells = 2048;
  std::uint32_t max_sequences = 16;
  std::uint32_t max_batch = 64;
  std::uint32_t longest_token = 0;  ///< what it says of that; each of its own is a byte
  bool shares_prefixes = true;
  bool chats = true;                       ///< it has a chat format
  bool infills = false;                    ///< its tokens 1, 2 and 3 mark the text before, the text after,
                                           ///< and the gap
  bool space_first = false;                ///< a prompt's tokens begin with a space, as SentencePiece's do
  std::size_t constraint_bytes = 0;        ///< reported by each constraint; 0: its real size
  std::function<void()> on_tokenize = {};  ///< called on the thread that tokenizes
  std::function<void()> on_end = {};       ///< called when the vocabulary is destroyed
};

/// A token is a byte, but for the one that ends a generation.
class FakeVocabulary final : public Vocabulary {
 public:
  static constexpr TokenId kEnd = 256;  ///< "<|end|>"
  static constexpr std::uint32_t kSize = 257;

  explicit FakeVocabulary(const FakeOptions& options);
  ~FakeVocabulary() override;

  const VocabularyFacts& facts() const override { return facts_; }
  Result<std::vector<TokenId>> tokenize(std::string_view text, bool add_special,
                                        bool parse_special) const override;
  std::string_view piece(TokenId token) const override { return pieces_[static_cast<std::size_t>(token)]; }
  std::string_view written(TokenId token) const override { return token == kEnd ? "<|end|>" : piece(token); }
  bool ends_generation(TokenId token) const override { return token == kEnd; }
  std::span<const TokenId> end_tokens() const override { return end_tokens_; }

 private:
  bool space_first_;
  std::function<void()> on_tokenize_;
  std::function<void()> on_end_;
  VocabularyFacts facts_;
  std::vector<std::string> pieces_;
  std::vector<TokenId> end_tokens_ = {kEnd};
};

/// Writes "role: content" lines. Knows one format: kGrammar, whose definition lists the allowed letters.
class FakeChatFormat final : public ChatFormat {
 public:
  explicit FakeChatFormat(std::size_t constraint_bytes) : constraint_bytes_(constraint_bytes) {}

  Result<RenderedChat> render(const ChatPrompt& chat, const OutputFormat& format) const override;
  Result<std::unique_ptr<TokenConstraint>> constrain(const OutputFormat& format) const override;

 private:
  std::size_t constraint_bytes_;
};

/// Steps without a model: the next token is a hash of everything before it, so that a cell too many, too few
/// or in the wrong place changes the text. It keeps the unified cache cell by cell and aborts on operations
/// that a real stepper could not do. Steps belong to the engine's thread, as in any stepper; what tests set
/// and read is guarded.
class FakeStepper final : public Stepper {
 public:
  explicit FakeStepper(const FakeOptions& options);

  const StepperFacts& facts() const override { return facts_; }
  DecodeStatus decode(std::span<const BatchRow> rows, std::uint32_t threads, const StopFlag& stop) override;
  std::span<float> logits(std::size_t row) override { return logits_[row]; }
  void apply(const KvOperation& operation) override;

  // For tests, from any thread.
  /// The next `count` steps fail with `status`, leaving half of their cells behind.
  void fail_steps(std::uint32_t count, DecodeStatus status);
  /// Makes steps wait here until they are released or aborted.
  void hold();
  void release();
  /// Waits until a step is held.
  void wait_until_held();
  bool is_held() const;
  std::size_t cells() const;   ///< in use
  std::size_t states() const;  ///< saved
  std::uint64_t steps() const;
  std::uint64_t rows() const;  ///< computed so far

 private:
  struct Cell {
    TokenId token;
    std::int32_t position;
    std::set<std::int32_t> owners;
  };

  void put(const BatchRow& row);
  std::vector<float> logits_of(const BatchRow& row) const;

  StepperFacts facts_;
  std::vector<std::vector<float>> logits_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Cell> cells_;
  std::map<std::uint64_t, std::vector<Cell>> states_;
  std::uint32_t failures_left_ = 0;
  DecodeStatus failure_ = DecodeStatus::kFailed;
  bool held_ = false;
  bool waiting_ = false;
  std::uint64_t steps_ = 0;
  std::uint64_t rows_ = 0;
};

/// All three parts.
Backend make_fake_backend(const FakeOptions& options = {});

/// A loader that returns `backend`, once.
BackendLoader loader_of(Backend backend);

}  // namespace autoglm::engine
