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
  std::string_view path() const;
  std::string_view query() const;  ///< without '?'
  /// The target of a call at `path` below this address, as "/a" and "/b?y=1" make "/a/b?y=1". This address's
  /// own query, as Azure's `api-version`, stays, and of `path`'s and `more` what it does not say itself is
  /// added.
  std::string below(std::string_view path, std::string_view more = {}) const;

  /// Errors: kInvalidArgument that says what is wrong with `text`.
  static Result<Url> parse(std::string_view text);
  /// `location`, which may be relative, as seen from here.
  Result<Url> resolve(std::string_view location) const;
};

}  // namespace autoglm::http
