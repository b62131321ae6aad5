#pragma once

#include "base/result.h"
#include "engine/backends/chat_format.h"
#include "engine/backends/embedder.h"
#include "engine/backends/stepper.h"
#include "engine/backends/vocabulary.h"
#include "inference/model_task.h"
#include "inference/sampling.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::engine {

/// What a model's files say about it, for people, clients and logs.
struct ModelFacts {
  std::string file;                   ///< the file it was loaded from; empty: none
  std::string tokenizer_info = "{}";  ///< for clients that build prompts themselves, as JSON
  SamplingLayer sampling;             ///< the file's recommendations, and what its format is called
  std::vector<std::string> remarks;   ///< statements of the file that are ignored, for the log
  std::vector<std::string> notes;     ///< other facts that may surprise, for the log
};

/// A loaded model, in parts, one for each kind of user. Requests share the first two, the engine's thread has
/// the stepper.
struct Backend {
  ModelFacts facts = {};
  std::shared_ptr<const Vocabulary> vocabulary;
  std::shared_ptr<const ChatFormat> chat =
      nullptr;                       ///< null: the model takes prompts only, in no format but text
  std::unique_ptr<Stepper> stepper;  ///< null: the model generates no text, and has an embedder
  std::unique_ptr<Embedder> embedder = nullptr;
  PairFormat pairs = {};  ///< of a model that ranks
  ModelTask task = ModelTask::kGenerate;
};

/// Gets the progress, 0 … 1; returns false when the model is no longer wanted.
using LoadProgress = std::function<bool(double)>;
/// Loads a model; runs on the engine's thread, so it may block. Calls `progress` several times a second and
/// ends soon after it returns false.
using BackendLoader = std::function<Result<Backend>(const LoadProgress& progress)>;

}  // namespace autoglm::engine
