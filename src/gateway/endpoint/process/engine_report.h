#pragma once

#include "base/result.h"
#include "inference/endpoint.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// What an engine's process reports to its parent, at each change.
struct EngineReport {
  EndpointStatus status;
  std::uint32_t context_length = 0;
  bool has_chat_template = false;
  ModelTask task = ModelTask::kGenerate;
  std::vector<SamplingDefault> sampling;
  std::string system_message;
  LoadReport load;
  std::shared_ptr<const PrefixSet> prefixes;  ///< null: none reported yet

  static EngineReport of(const Endpoint& engine);
  /// Whether it has nothing new compared to `other`; prefixes are compared by pointer.
  bool same_as(const EngineReport& other) const;
};

/// As JSON, in one message.
std::string write_report(const EngineReport& report);
/// Errors: kInvalidArgument, what is wrong with it.
Result<EngineReport> read_report(std::string_view text);

}  // namespace autoglm::gateway
