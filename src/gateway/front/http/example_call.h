#pragma once

#include "inference/endpoint.h"

#include <string>
#include <string_view>

namespace autoglm::gateway {

/// The question in example calls.
inline constexpr std::string_view kExampleQuestion = "What is the capital of France?";

/// A call of `model` for a shell to try: what it is for; of one that generates a chat, or a completion where
/// it is known to have no chat template. `base_url` is "http://127.0.0.1:8080". `model.name` empty: the call
/// names none.
std::string example_call(std::string_view base_url, const ModelCard& model, bool can_chat);

/// `text` as one word of a shell.
std::string shell_word(std::string_view text);

/// Whether an example should be a chat: while a model loads, whether it has a chat template is unknown.
inline bool can_chat(const EndpointStatus& status, const ModelCard& card) {
  return card.has_chat_template || status.state != EndpointStatus::State::kReady;
}

}  // namespace autoglm::gateway
