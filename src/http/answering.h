#pragma once

#include "http/content_coding.h"
#include "http/message.h"
#include "http/server.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::http {

/// Shared by the answers of all HTTP versions.

/// The value of the Date header, formatted once per second and thread.
std::string_view date_now();

/// The coding that the client of `request` prefers for `body`, which is compressed from `least` bytes on (0:
/// never); adds Vary to `response` when that depended on the request. A null `request` means kIdentity.
ContentCoding wanted_coding(std::size_t least, const Request* request, std::string_view content_type,
                            std::string_view body, ResponseWriter& response);
/// `body` in that coding; adds Content-Encoding to `response`. Nothing when the result would not be shorter,
/// or when `memory`, which must cover it, has no room for a second copy of the body.
Task<std::optional<std::string>> packed(ContentCoding coding, std::string_view body,
                                        BodyMemory::Share& memory, ResponseWriter& response);

/// 413, for a body of more than `limit` bytes.
Refusal body_too_large(std::size_t limit);
/// 503, for a body that does not fit into BodyMemory.
Refusal no_body_memory();
/// 503, for a request when the system is out of memory.
Refusal out_of_memory();

}  // namespace autoglm::http
