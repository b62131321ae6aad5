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
  std::shared_ptr<const PrefixSet> prefixes;  ///< null: not reported
};

/// The answer of `/load`: vLLM's `server_load`, the requests running and waiting, and beside it the report of
/// each model.
std::string load_body(std::span<const ModelLoad> models);

/// Reads the `/load` of another Open-AutoGLM: the sum over its models, and of shares and times the largest.
/// Errors: kInvalidArgument, what is wrong with the body.
Result<ModelLoad> read_load(std::string_view body);

/// ORCA's header `endpoint-load-metrics`, as vLLM adds it to an answer whose request has
/// `endpoint-load-metrics-format: TEXT` or `JSON`. Nothing for another format.
std::optional<std::string> load_header(std::string_view format, const LoadReport& report);

}  // namespace autoglm::protocol::vllm
