#pragma once

#include "http/message.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm::http {

/// Decodes a chunked body (RFC 9112 7.1) that arrives in pieces. Strict: hexadecimal sizes, CRLF and nothing
/// else; extensions and trailers are bounded, checked and dropped.
class ChunkedDecoder {
 public:
  /// Decodes from the front of `input`, appends the data to `out`, and returns how many bytes of `input` it
  /// has used: all of them, unless the body ended. Must not be called again after an error.
  Parsed<std::size_t> decode(std::string_view input, std::string& out);

  bool done() const { return state_ == State::kDone; }

 private:
  enum class State : std::uint8_t { kSizeLine, kData, kDataEnd, kTrailer, kDone };

  /// The next whole line of `input` from `used`, without CRLF; nothing while it is incomplete.
  Parsed<std::optional<std::string_view>> take_line(std::string_view input, std::size_t& used);
  Parsed<void> begin_chunk(std::string_view line);

  State state_ = State::kSizeLine;
  std::uint64_t left_ = 0;  // of the chunk
  std::size_t trailer_bytes_ = 0;
  std::string partial_;  // an incomplete line
};

}  // namespace autoglm::http
