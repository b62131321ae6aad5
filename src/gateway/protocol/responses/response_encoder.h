#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/responses/request.h"
#include "gateway/protocol/responses/responses_codec.h"

#include <memory>

namespace autoglm::protocol::responses {

/// The encoder of a response: a document, or a stream of typed events, which ends with the document.
std::unique_ptr<AnswerEncoder> make_response_encoder(const AnswerFacts& facts,
                                                     std::shared_ptr<const Echo> echo, OnFinished on_finished,
                                                     bool stream);

}  // namespace autoglm::protocol::responses
