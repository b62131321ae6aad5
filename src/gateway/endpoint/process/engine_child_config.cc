#include "gateway/endpoint/process/engine_child_config.h"

#include "config/load.h"
#include "config/render.h"

#include <string>
#include <utility>

namespace autoglm::gateway {

namespace {

config::Descriptor<EngineChildConfig> describe() {
  using C = EngineChildConfig;
  return config::Descriptor<C>("engine-process", "What the process of an engine is told.")
      .field("name", &C::name, {.doc = "What clients call the model.", .required = true})
      .section("engine", &C::engine, engine::describe_engine())
      .field("compute_threads", &C::compute_threads,
             {.doc = "Of an engine that does not say, at most.", .min = 1})
      .field("cache", &C::cache, {.doc = "Where fetched models are."})
      .section("log", &C::log, observe::describe_log())
      .field("trace_id", &C::trace_id, {.doc = "Of lines that belong to no request."});
}

}  // namespace

std::string write_engine_child_config(const EngineChildConfig& config) {
  // Variables were expanded when the configuration was read.
  std::string text = config::print(describe(), config, nullptr, config::Secrets::kTold);
  for (std::size_t at = 0; (at = text.find("${", at)) != std::string::npos; at += 3) text.insert(at, "$");
  return text;
}

Result<EngineChildConfig> read_engine_child_config(std::string text) {
  auto config = config::load(describe(), {.file_name = "standard input", .file_text = std::move(text)});
  if (!config) return fail(ErrorCode::kInvalidArgument, config::to_string(config.error()));
  return std::move(*config);
}

}  // namespace autoglm::gateway
