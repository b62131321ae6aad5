#pragma once

#include "http/message.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::http {

struct HeadLimits {
  std::size_t bytes = 32 * 1024;  ///< request line and fields together
  std::size_t fields = 100;
  std::size_t empty_lines = 16;  ///< before a request line
};

/// Finds the end of a message head in a growing buffer, line by line and each byte once, so that a slow
/// sender costs no rescans and a bare LF is refused as soon as it arrives.
class HeadScanner {
 public:
  explicit HeadScanner(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  /// The length of the head, with its empty line, once it is complete.
  Parsed<std::optional<std::size_t>> scan(std::string_view buffer);
  void reset() { line_start_ = 0; }

 private:
  std::size_t max_bytes_;
  std::size_t line_start_ = 0;
};

/// Parses a complete head, with its empty line, into a request. Strict (RFC 9112): no obs-fold, no space
/// before a colon, one Host, one Content-Length or one `Transfer-Encoding: chunked` and never both.
Parsed<void> parse_request_head(std::string head, const HeadLimits& limits, Request& request);

/// Checks a request of any HTTP version, whose method, target and header fields are set, and derives its
/// path, query, framing and expectation from them.
Parsed<void> check_request(Request& request);

/// Parses the head of a response to a request of `method`.
Parsed<void> parse_response_head(std::string head, std::string_view method, const HeadLimits& limits,
                                 ResponseHead& response);

/// A line of the trailer section, which is checked and dropped.
bool valid_field_line(std::string_view line);

}  // namespace autoglm::http
