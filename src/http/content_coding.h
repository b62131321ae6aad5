#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::http {

/// How the bytes of a body may be packed (RFC 9110 8.4).
enum class ContentCoding : std::uint8_t { kIdentity, kGzip, kBrotli, kZstd };
std::string_view to_string(ContentCoding coding);

/// The one to use for who accepts this: the likeliest of the client's own weights, and of equal ones zstd,
/// br, gzip, by what they cost here. kIdentity when none is accepted, or the header is none.
ContentCoding choose_coding(std::string_view accept_encoding);

/// `body`, packed at a speed that suits answers made on the fly. Nothing when it would not get shorter. Pure.
std::optional<std::string> encode(ContentCoding coding, std::string_view body);

}  // namespace autoglm::http
