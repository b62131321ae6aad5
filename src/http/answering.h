#pragma once

#include "http/message.h"
#include "http/server.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::http {

/// What the answers of all versions of HTTP have in common.

/// The value of the Date header, written once a second and thread.
std::string_view date_now();

/// The body as the client of `request` would rather have it, if it has `least` bytes (0: never), and that is
/// shorter. Says so in the head of `response`. `request` may be null: nobody knows.
std::optional<std::string> packed(std::size_t least, const Request* request, std::string_view content_type,
                                  std::string_view body, ResponseWriter& response);

/// 413, for a body of more than `limit` bytes.
Refusal body_too_large(std::size_t limit);
/// 503, for a body that BodyMemory has no room for.
Refusal no_body_memory();

}  // namespace autoglm::http
