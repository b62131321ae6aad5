#pragma once

#include "gateway/protocol/codec.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::protocol::anthropic {

/// What a message's encoder must know of its request.
struct AnswerOptions {
  std::vector<std::string> stop;  ///< the client's stop sequences; a template's own are none of these
  std::uint32_t max_tokens = 0;
  bool shows_thinking = true;
};

/// The encoder of a message: a document, or a stream of typed events.
std::unique_ptr<AnswerEncoder> make_message_encoder(const AnswerFacts& facts, AnswerOptions options,
                                                    bool stream);

}  // namespace autoglm::protocol::anthropic
