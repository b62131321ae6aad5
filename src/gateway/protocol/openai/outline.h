#pragma once

#include "gateway/protocol/codec.h"

#include <optional>
#include <string>
#include <string_view>

namespace autoglm::protocol::openai {

/// What a gateway must know of a generation that only its servers understand (images, parts and values that
/// are none of ours): the model, whether it streams, and the priority, which a key may not allow. The call is
/// opaque, and its work a stand-in. `codec` is that of `protocol`; its encoder writes what the gateway may
/// have to say itself. Errors: no JSON object, or one of the three is wrong.
Result<DecodedCall> outline(const Codec& codec, WireBody::Protocol protocol, std::string_view body);

/// What a request that is passed on says of itself, in JSON or a form; empty: nothing.
struct PassedFacts {
  std::string model;
  bool stream = false;
};
/// Errors: kInvalidArgument for a form that names several models.
Result<PassedFacts> read_passed(std::string_view content_type, std::string_view body);
/// The value of the form's first field "model", as a part of `body`; nothing: `body` is no such form.
std::optional<std::string_view> form_model(std::string_view content_type, std::string_view body);

}  // namespace autoglm::protocol::openai
