#pragma once

#include "base/error.h"
#include "gateway/protocol/anthropic/error.h"
#include "gateway/protocol/codec.h"
#include "inference/unary_request.h"

#include <string>
#include <string_view>

namespace autoglm::protocol::anthropic {

/// POST /v1/messages (docs.anthropic.com/en/api/messages). Requests are known by their work alone, so an
/// endpoint that speaks another protocol may answer them.
class MessagesCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
  /// Always an error: no other server judges these bodies.
  Result<DecodedCall> outline(std::string_view body) const override;
  std::string error_body(const Error& error) const override { return anthropic::error_body(error); }
};

/// POST /v1/messages/count_tokens: the body of a message without `max_tokens`; how long its prompt is.
struct CountTokensCall {
  std::string model;  ///< empty: the default
  TokenizeRequest work;
};
Result<CountTokensCall> decode_count_tokens(std::string_view body);
/// {"input_tokens": n}.
std::string count_tokens_body(const TokenizeResult& result);

}  // namespace autoglm::protocol::anthropic
