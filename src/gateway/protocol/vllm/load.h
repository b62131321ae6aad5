#pragma once

#include "base/result.h"
#include "inference/load_report.h"
#include "inference/prefix_digests.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm::protocol::vllm {

/// How busy a model is, and what it has read lately.
struct ModelLoad {
  std::string model;
  LoadReport report;
  std::shared_ptr<const PrefixSet> prefixes;  ///< null: it does not say
};

/// The answer of `/load`: vLLM's `server_load`, requests running and waiting, and beside it what each of our
/// models says.
std::string load_body(std::span<const ModelLoad> models);

/// What `/load` of one of ours said: all its models together, and of shares and times the largest. Errors:
/// kInvalidArgument, what is wrong with it.
Result<ModelLoad> read_load(std::string_view body);

/// The `endpoint-load-metrics` header of an answer, ORCA's, as vLLM gives it to who asked by
/// `endpoint-load-metrics-format: TEXT` or `JSON`. Nothing for another format.
std::optional<std::string> load_header(std::string_view format, const LoadReport& report);

}  // namespace autoglm::protocol::vllm
