#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/openai/generate_fields.h"

#include <cstdint>
#include <string>
#include <vector>

namespace autoglm::protocol::llama {

/// What the bodies of /completion and /infill say.
struct Body : openai::GenerateBody {
  std::vector<std::string> response_fields;  ///< paths of members that a whole answer has; empty: all
  std::vector<std::string> samplers;         ///< empty: all
  bool shows_tokens = false;
  bool times_tokens = false;
  // Of /infill:
  bool fills_in = false;
  std::string input_prefix;
  std::string input_suffix;
  std::string middle;
  std::string extra;
};

/// The call of a body that has been read and settled.
DecodedCall make_call(Body body, std::uint32_t unknown_fields);

}  // namespace autoglm::protocol::llama
