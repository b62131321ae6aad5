#pragma once

#include "base/error.h"

#include <string>
#include <string_view>

namespace autoglm::protocol::grpc {

/// The trailer grpc-message: what is no printable ASCII becomes %XX.
std::string percent_encoded(std::string_view message);

/// The trailer grpc-status-details-bin, in base64: a google.rpc.Status with BadRequest for the field that is
/// wrong, ErrorInfo for the reason and RetryInfo for the time to wait. Empty: there is nothing to add.
std::string status_details(const Error& error);

/// RFC 4648, without padding, as gRPC's clients send and take it.
std::string base64(std::string_view bytes);

}  // namespace autoglm::protocol::grpc
