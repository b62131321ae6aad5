#pragma once

#include "base/clock.h"
#include "config/descriptor.h"
#include "inference/sampling.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::engine {

/// Where an engine runs.
enum class Isolation : std::uint8_t {
  kThread,   ///< in this process
  kProcess,  ///< in one of its own, which may die alone
};
std::vector<config::EnumName<Isolation>> enum_names(Isolation);

/// Whose word counts for what a request does not say about sampling.
enum class GenerationDefaults : std::uint8_t {
  kModel,  ///< what is known of the model: its file's, generation_config.json's, the catalogue's
  kNone,   ///< nobody's: plain sampling, but for what `sampling` says
};
std::vector<config::EnumName<GenerationDefaults>> enum_names(GenerationDefaults);

/// `models[].engine`: a model that this process runs itself.
struct EngineConfig {
  std::string path;                ///< a path, or a name of the catalogue
  std::uint32_t context = 0;       ///< tokens of one request, prompt and answer; 0: the model's, at most 8192
  std::uint32_t cache_tokens = 0;  ///< tokens of all requests together; 0: as `context`
  std::uint32_t max_sequences = 32;              ///< generated at a time
  std::uint32_t max_waiting = 256;               ///< beyond those, each of `n`; further ones are told 429
  std::uint32_t threads = 0;                     ///< compute threads; 0: each step decides
  std::uint32_t max_batch = 512;                 ///< tokens of one step
  std::size_t saved_memory = 256 * 1024 * 1024;  ///< for what the cache has no room for
  bool prefix_cache = true;                      ///< keep what was computed for requests that begin alike
  Duration max_stall = std::chrono::milliseconds(200);  ///< that a prompt may hold up others' next token

  Isolation isolation = Isolation::kThread;
  SamplingNumbers sampling;                               ///< for requests that do not say
  std::optional<GenerationDefaults> generation_defaults;  ///< unset: as the server's
  std::string chat_template;                              ///< a file or a name; empty: the model's own
  std::string system_message;                             ///< for chats without one; empty: the catalogue's

  bool operator==(const EngineConfig&) const = default;
};

/// What configuration says about those.
config::Descriptor<EngineConfig> describe_engine();

}  // namespace autoglm::engine
