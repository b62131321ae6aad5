#pragma once

#include "http/content_coding.h"
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

/// How the client of `request` would rather have `body`, which is packed from `least` bytes on (0: never);
/// says in the head of `response` that it was asked. `request` may be null: nobody knows.
ContentCoding wanted_coding(std::size_t least, const Request* request, std::string_view content_type,
                            std::string_view body, ResponseWriter& response);
/// `body` in that coding, which the head of `response` then tells. Nothing when it would not be shorter, or
/// when `memory`, which then counts for it, has no room for a second one beside it.
Task<std::optional<std::string>> packed(ContentCoding coding, std::string_view body,
                                        BodyMemory::Share& memory, ResponseWriter& response);

/// 413, for a body of more than `limit` bytes.
Refusal body_too_large(std::size_t limit);
/// 503, for a body that BodyMemory has no room for.
Refusal no_body_memory();
/// 503, for a body that the system has no memory for.
Refusal out_of_memory();

}  // namespace autoglm::http
