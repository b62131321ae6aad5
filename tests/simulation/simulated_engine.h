#pragma once

#include "engine/backends/backend.h"
#include "engine/testing/fake_backend.h"
#include "history.h"
#include "machine.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace autoglm::simulation {

/// The answer of a greedy FakeStepper to `prompt`, by a second implementation of its rule.
std::string fake_answer(std::string_view prompt, std::uint32_t tokens);

/// The fake's chat format, whose work takes the machine's time. Checks that it never works for a client that
/// is gone, nor after its destruction.
class TimedChatFormat final : public engine::ChatFormat {
 public:
  TimedChatFormat(Machine& machine, History& history) : machine_(machine), history_(history) {}
  ~TimedChatFormat() override { *alive_ = false; }

  /// Preparing a prompt takes `time` from now on.
  void prepare_for(Duration time) { preparation_ = time; }

  Result<engine::RenderedChat> render(const ChatPrompt& chat, const OutputFormat& format) const override;
  Result<std::unique_ptr<engine::TokenConstraint>> constrain(const OutputFormat& format) const override {
    return fake_.constrain(format);
  }

 private:
  /// A job begins that reads a request's text; false: this was destroyed meanwhile.
  bool pass_time(std::string_view text) const;

  Machine& machine_;
  History& history_;
  engine::FakeChatFormat fake_{0};
  Duration preparation_ = std::chrono::milliseconds(2);
  // Shows a job that still runs that this is destroyed.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// The fake's stepper, whose steps take the machine's time.
class TimedStepper final : public engine::Stepper {
 public:
  static engine::FakeOptions options() {
    return {.context = 128, .cells = 512, .max_sequences = 8, .max_batch = 64};
  }

  explicit TimedStepper(Machine& machine) : machine_(machine) {}

  /// The next `count` steps fail.
  void fail_steps(std::uint32_t count);

  const engine::StepperFacts& facts() const override { return fake_.facts(); }
  engine::DecodeStatus decode(std::span<const engine::BatchRow> rows, std::uint32_t threads,
                              const engine::StopFlag& stop) override;
  std::span<float> logits(std::size_t row) override { return fake_.logits(row); }
  void apply(const engine::KvOperation& operation) override { fake_.apply(operation); }

 private:
  Machine& machine_;
  engine::FakeStepper fake_{options()};
};

}  // namespace autoglm::simulation
