#pragma once

#include "base/result.h"
#include "runtime/socket.h"

#include <string>
#include <string_view>

namespace autoglm::http {

/// An http or https URL, split into its parts.
struct Url {
  bool tls = false;
  HostPort host;
  std::string target = "/";  ///< path and query, as sent in a request line

  /// "https://example.com:8443": the part of a URL by which connections are shared.
  std::string origin() const;
  /// The value of a Host header.
  std::string authority() const;
  std::string_view path() const;
  std::string_view query() const;  ///< without '?'
  /// The target of a call at `path` below this URL: "/a" and "/b?y=1" make "/a/b?y=1". This URL's own query
  /// stays, as Azure's `api-version` must; parameters of `path` and `more` are added unless it has them.
  std::string below(std::string_view path, std::string_view more = {}) const;

  /// Errors: kInvalidArgument, saying what is wrong with `text`.
  static Result<Url> parse(std::string_view text);
  /// `location`, which may be relative, resolved against this URL.
  Result<Url> resolve(std::string_view location) const;
};

}  // namespace autoglm::http
