#pragma once

#include <cstdint>
#include <string_view>

namespace autoglm {

/// What a model is for.
enum class ModelTask : std::uint8_t {
  kGenerate,  ///< text
  kEmbed,     ///< a vector for a text
  kRank,      ///< how well a document answers a query
};

/// The word by which configurations and reports name it.
constexpr std::string_view to_string(ModelTask task) {
  switch (task) {
    case ModelTask::kEmbed:
      return "embed";
    case ModelTask::kRank:
      return "rank";
    default:
      return "generate";
  }
}

}  // namespace autoglm
