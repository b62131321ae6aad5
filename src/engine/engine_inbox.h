#pragma once

#include "base/clock.h"
#include "engine/backends/stepper.h"
#include "engine/backends/token_constraint.h"
#include "engine/delivery.h"
#include "engine/embedding/embed_preparation.h"
#include "engine/generation_id.h"
#include "engine/place_pool.h"
#include "engine/preparation.h"
#include "inference/generate_request.h"
#include "runtime/mailbox.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace autoglm::engine {

/// A request with its prompts tokenized and checked: it fits the context and the slots.
struct Submission {
  GenerationId id;
  std::shared_ptr<const GenerateRequest> work;
  SamplingParams sampling;  ///< the request's values, and the model's defaults for the others
  std::vector<Preparation::PromptTokens> prompts;
  std::vector<std::vector<TokenId>> banned;  ///< Preparation::banned
  std::vector<ChoiceStart> choices;
  std::unique_ptr<TokenConstraint> constraint;  ///< for choices that do not bring their own
  std::vector<std::uint64_t> landmarks;         ///< the prompt's, for load reports
  std::size_t bytes = 0;                        ///< Preparation::bytes
  std::shared_ptr<Delivery> delivery;
  MonotonicTime arrived;
  MonotonicTime deadline = MonotonicTime::max();
  std::uint8_t priority = 0;
  std::uint64_t tenant = 0;  ///< a hash
  std::string group = {};    ///< the caller's; empty: none
  std::uint64_t salt = 0;    ///< a hash; only requests with the same salt share prefixes
};
/// A request of an embedding model, tokenized and checked.
struct EmbedSubmission {
  GenerationId id;
  EmbedPreparation preparation;
  std::shared_ptr<Delivery> delivery;
  MonotonicTime arrived;
  std::uint8_t priority = 0;
  std::string group = {};  ///< the caller's; empty: none
};
struct Cancellation {
  GenerationId id;
};
struct WakeUp {
  GenerationId id;  ///< its reader has caught up
};
using EngineMessage = std::variant<Submission, EmbedSubmission, Cancellation, WakeUp>;

/// Shared by the loops and the engine's thread: the way in, and the abort of a step whose only request has
/// been cancelled. Outlives both sides. Thread-safe.
struct EngineInbox {
  /// `places`: requests that run and wait, each choice counted.
  explicit EngineInbox(std::uint32_t places);

  Mailbox<EngineMessage> mailbox;
  PlacePool pool;
  StopFlag stop;  ///< of the step that runs

  /// A request's client has gone. Stops the step that runs if it computes nothing else.
  void cancel(GenerationId id);

  /// For the engine's thread, around a step; `only`: the generation that has it to itself, nothing: several
  /// do.
  void begin_step(std::optional<GenerationId> only);
  void end_step() { alone_.store(0); }
  /// It has read a Cancellation.
  void note_cancellation() { ++read_; }

 private:
  std::atomic<std::uint64_t> alone_{0};  // 0: none
  std::atomic<std::uint64_t> sent_{0};   // cancellations
  std::uint64_t read_ = 0;               // of them, by the engine's thread
};

/// Places for a request's choices among those that run and wait. The destructor gives them back, unless the
/// request was handed over; then the engine gives them back when the request ends.
class Places {
 public:
  /// Nothing: there are not as many left.
  static std::optional<Places> take(std::shared_ptr<EngineInbox> inbox, PlaceOwner owner,
                                    std::uint32_t count);
  Places(Places&& other) noexcept = default;
  Places& operator=(Places&& other) = delete;
  ~Places() {
    if (inbox_) inbox_->pool.give_back(owner_.group, count_, bytes_);
  }

  /// Reserves memory for the preparation, too; false: there is none left.
  bool add(std::size_t bytes);
  void keep() { inbox_.reset(); }

 private:
  Places(std::shared_ptr<EngineInbox> inbox, PlaceOwner owner, std::uint32_t count)
      : inbox_(std::move(inbox)), owner_(std::move(owner)), count_(count) {}

  std::shared_ptr<EngineInbox> inbox_;
  PlaceOwner owner_;
  std::uint32_t count_;
  std::size_t bytes_ = 0;
};

}  // namespace autoglm::engine
