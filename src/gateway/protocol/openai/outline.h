#pragma once

#include "gateway/protocol/codec.h"

#include <optional>
#include <string>
#include <string_view>

namespace autoglm::protocol::openai {

/// What a gateway must know of a generation that only its servers understand (images, parts and values that
/// are none of ours): the model, and whether it streams. Opaque; its work is a stand-in. `codec` is that of
/// `protocol`, for the encoder of what we may have to say ourselves. Errors: no JSON object, or wrong in
/// those.
Result<DecodedCall> outline(const Codec& codec, WireBody::Protocol protocol, std::string_view body);

/// What a request that is passed on says of itself, in JSON or a form; empty: it does not.
struct PassedFacts {
  std::string model;
  bool stream = false;
};
PassedFacts read_passed(std::string_view content_type, std::string_view body);
/// The value of the form's field "model" where it stands in `body`; nothing: `body` is no such form.
std::optional<std::string_view> form_model(std::string_view content_type, std::string_view body);

}  // namespace autoglm::protocol::openai
