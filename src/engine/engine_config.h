#pragma once

#include "base/clock.h"
#include "config/descriptor.h"
#include "inference/model_task.h"
#include "inference/sampling.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace autoglm {

std::vector<config::EnumName<ModelTask>> enum_names(ModelTask);

}  // namespace autoglm

namespace autoglm::engine {

/// Where an engine runs.
enum class Isolation : std::uint8_t {
  kThread,   ///< in this process
  kProcess,  ///< in its own process, so that a crash takes only this model
};
std::vector<config::EnumName<Isolation>> enum_names(Isolation);

/// The source of sampling values that a request leaves out.
enum class GenerationDefaults : std::uint8_t {
  kModel,  ///< known defaults of the model: its file's, generation_config.json's, the catalogue's
  kNone,   ///< plain sampling, except for what `sampling` sets
};
std::vector<config::EnumName<GenerationDefaults>> enum_names(GenerationDefaults);

/// `models[].engine`: a model that this process runs itself.
struct EngineConfig {
  std::string path;                ///< a path, or a name from the catalogue
  std::optional<ModelTask> task;   ///< unset: as the file says
  std::uint32_t context = 0;       ///< tokens of one request, prompt and answer; 0: the model's, at most 8192
  std::uint32_t cache_tokens = 0;  ///< tokens of all requests together; 0: as `context`
  std::uint32_t max_sequences = 32;              ///< generated at the same time
  std::uint32_t max_waiting = 256;               ///< waiting beyond those, each of `n` counted; further ones
                                                 ///< get a 429
  std::uint32_t threads = 0;                     ///< compute threads; 0: each step decides
  std::uint32_t max_batch = 512;                 ///< tokens of one step
  std::size_t saved_memory = 256 * 1024 * 1024;  ///< for states that do not fit into the cache
  bool prefix_cache = true;                      ///< reuse computed beginnings of other requests
  Duration max_stall = std::chrono::milliseconds(200);  ///< how long a prompt may delay others' next token

  Isolation isolation = Isolation::kThread;
  SamplingNumbers sampling;                               ///< for values that a request leaves out
  std::optional<GenerationDefaults> generation_defaults;  ///< unset: the server's setting
  std::string chat_template;                              ///< a file or a name; empty: the model's own
  std::string system_message;                             ///< for chats without one; empty: the catalogue's

  bool operator==(const EngineConfig&) const = default;
};

/// The configuration keys of EngineConfig.
config::Descriptor<EngineConfig> describe_engine();

}  // namespace autoglm::engine
