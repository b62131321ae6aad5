#pragma once

#include "engine/backends/embedder.h"
#include "engine/embedding/embed_queue.h"
#include "engine/engine_inbox.h"
#include "engine/engine_load.h"
#include "engine/engine_metrics.h"

#include <map>
#include <vector>

namespace autoglm::engine {

/// The engine's thread for a model that makes vectors or scores: takes messages, packs sequences of several
/// requests into a step, lets the embedder compute it, sends off the answers that are complete. Created, run
/// and destroyed on that thread.
class EmbedWorker {
 public:
  /// `threads`: that compute a step.
  EmbedWorker(Embedder& embedder, std::uint32_t threads, std::uint32_t max_batch, EngineInbox& inbox,
              EngineLoad& load, EngineMetrics& metrics);

  /// Runs until the mailbox is closed; requests still running then end with an error.
  void run();

 private:
  struct Job {
    EmbedSubmission submission;
    std::vector<std::vector<float>> outputs;
    std::size_t missing = 0;  ///< of the outputs
    bool started = false;
  };
  using Picks = std::vector<EmbedQueue::Pick>;

  void take_messages(bool may_wait);
  void start(EmbedSubmission submission);
  void cancel(GenerationId id);
  void step(const Picks& picks);
  void take_outputs(const Picks& picks, MonotonicTime now);
  void finish(Job& job, MonotonicTime now);
  void give_up_on(const Picks& picks);
  void fail(GenerationId id, const Error& error);
  void forget(GenerationId id);
  void publish_load(const Picks& picks);

  Embedder& embedder_;
  const std::uint32_t threads_;
  EngineInbox& inbox_;
  EngineLoad& load_;
  EngineMetrics& metrics_;
  EmbedQueue queue_;
  Outbox outbox_;
  std::map<GenerationId, Job> jobs_;
  unsigned failures_in_a_row_ = 0;

  // Kept between steps.
  std::vector<EngineMessage> messages_;
  std::vector<std::span<const TokenId>> sequences_;
};

}  // namespace autoglm::engine
