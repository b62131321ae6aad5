#pragma once

#include "engine/backends/backend.h"
#include "engine/testing/fake_backend.h"
#include "history.h"
#include "machine.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace autoglm::simulation {

/// The answer of a greedy FakeBackend to `prompt`, by a second implementation of its rule.
std::string fake_answer(std::string_view prompt, std::uint32_t tokens);

/// The fake backend, whose work takes the machine's time. Checks that it never works for a client that is
/// gone, nor after its destruction.
class TimedBackend final : public engine::Backend {
 public:
  TimedBackend(Machine& machine, History& history);
  ~TimedBackend() override;

  /// The next `count` steps fail.
  void fail_steps(std::uint32_t count);
  /// Preparing a prompt takes `time` from now on.
  void prepare_for(Duration time) { preparation_ = time; }

  const engine::BackendFacts& facts() const override { return fake_.facts(); }
  Result<std::vector<TokenId>> tokenize(std::string_view text, bool add_special,
                                        bool parse_special) const override;
  std::string_view piece(TokenId token) const override { return fake_.piece(token); }
  std::string_view written(TokenId token) const override { return fake_.written(token); }
  bool ends_generation(TokenId token) const override { return fake_.ends_generation(token); }
  std::span<const TokenId> end_tokens() const override { return fake_.end_tokens(); }
  Result<engine::RenderedChat> render_chat(const ChatPrompt& chat, const OutputFormat& format) const override;
  Result<std::unique_ptr<engine::TokenConstraint>> make_constraint(
      const OutputFormat& format) const override {
    return fake_.make_constraint(format);
  }
  engine::DecodeStatus decode(std::span<const engine::BatchRow> rows, std::uint32_t threads) override;
  std::span<float> logits(std::size_t row) override { return fake_.logits(row); }
  void apply(const engine::KvOperation& operation) override { fake_.apply(operation); }

 private:
  /// A job begins that reads a request's text; false: this was destroyed meanwhile.
  bool pass_time(std::string_view text) const;

  Machine& machine_;
  History& history_;
  engine::FakeBackend fake_;
  Duration preparation_ = std::chrono::milliseconds(2);
  // Shows a job that still runs that this is destroyed.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace autoglm::simulation
