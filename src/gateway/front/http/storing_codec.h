#pragma once

#include "gateway/front/http/response_store.h"
#include "gateway/protocol/responses/responses_codec.h"
#include "http/shared_limits.h"

#include <memory>
#include <string>
#include <string_view>

namespace autoglm::gateway {

/// The codec of one request to /v1/responses of a server that stores them: goes on from the response that the
/// request names, and keeps the answer. What the request recalls counts towards `memory` until its answer has
/// ended; null: nothing bounds it. Errors, beside those of a codec: kNotFound, kUnavailable.
class StoringCodec final : public protocol::responses::ResponsesCodec {
 public:
  StoringCodec(std::shared_ptr<ResponseStore> store, std::shared_ptr<http::BodyMemory> memory,
               std::string tenant, std::string_view request_id)
      : store_(std::move(store)),
        memory_(std::move(memory)),
        tenant_(std::move(tenant)),
        id_(protocol::responses::response_id(request_id)) {}

  Result<protocol::DecodedCall> decode(std::string_view body) const override;
  /// Bodies that refer to what is stored, which may be long.
  bool is_slow(std::string_view body) const override;

 private:
  std::shared_ptr<ResponseStore> store_;
  std::shared_ptr<http::BodyMemory> memory_;
  std::string tenant_;
  std::string id_;
};

/// The error about a response that there is not.
Error no_such_response(std::string_view id, std::string param);

}  // namespace autoglm::gateway
