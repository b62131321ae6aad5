#pragma once

#include "inference/endpoint.h"
#include "inference/events.h"

#include <cstdint>
#include <memory>
#include <string>

namespace autoglm::gateway {

/// Answers in a model's place, marked as such by their origin.

/// `inner`, an answer of the model `name`; `endpoint` is kept alive as long as the answer.
std::unique_ptr<EventStream> fallback_answer(const std::string& name, std::shared_ptr<Endpoint> endpoint,
                                             std::unique_ptr<EventStream> inner);
/// `text`, as every choice.
std::unique_ptr<EventStream> static_answer(std::string text, std::uint32_t choices);

}  // namespace autoglm::gateway
