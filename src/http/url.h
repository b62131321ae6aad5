#pragma once

#include "base/result.h"
#include "runtime/socket.h"

#include <string>
#include <string_view>

namespace autoglm::http {

/// An http or https address, taken apart.
struct Url {
  bool tls = false;
  HostPort host;
  std::string target = "/";  ///< path and query, as sent in a request line

  /// "https://example.com:8443": what connections are shared by.
  std::string origin() const;
  /// The value of a Host header.
  std::string authority() const;

  /// Errors: kInvalidArgument that says what is wrong with `text`.
  static Result<Url> parse(std::string_view text);
  /// `location`, which may be relative, as seen from here.
  Result<Url> resolve(std::string_view location) const;
};

}  // namespace autoglm::http
