#pragma once

#include "gateway/protocol/block_encoder.h"
#include "gateway/protocol/codec.h"
#include "gateway/protocol/responses/request.h"

#include <string>
#include <string_view>
#include <vector>

namespace autoglm::protocol::responses {

/// One of a response's output items.
struct OutputItem {
  AnswerBlock block;
  std::string id;
  std::string logprobs;  ///< of a text's tokens, as a list's items in JSON
};

/// The one part of a text or of reasoning.
void append_part(std::string& out, const OutputItem& item);
/// `status`: "in_progress", which has no content yet, "completed" or "incomplete".
void append_item(std::string& out, const OutputItem& item, std::string_view status);

/// What a response object says of its answer.
struct ResponseState {
  std::string_view status;
  std::string_view incomplete = {};                ///< why, if it is
  const Error* error = nullptr;                    ///< if it failed
  const Usage* usage = nullptr;                    ///< null: it is not known yet
  std::uint32_t reasoning_tokens = 0;              ///< of usage
  const std::vector<OutputItem>* items = nullptr;  ///< null: none yet
  std::string_view last_status = "completed";      ///< of the last item
};
void append_response(std::string& out, const AnswerFacts& facts, const Echo& echo,
                     const ResponseState& state);

}  // namespace autoglm::protocol::responses
