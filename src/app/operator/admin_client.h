#pragma once

#include "base/result.h"
#include "http/url.h"

#include <map>
#include <string>

namespace autoglm::app {

/// Where a command finds a server's admin address.
struct AdminOptions {
  std::string admin;  ///< the address; empty: as the environment or the default has it
  std::string token;  ///< of the address; empty: as the environment has it
};

/// Calls a server's admin address for a command of the terminal. Calls block.
class AdminClient {
 public:
  AdminClient(http::Url admin, std::string token) : admin_(std::move(admin)), token_(std::move(token)) {}

  /// The server that the options, or the server's own variables, name. Errors: kInvalidArgument for an
  /// address that is none.
  static Result<AdminClient> of(const AdminOptions& options,
                                const std::map<std::string, std::string>& environment);

  /// The body of a 2xx answer. Errors: kUnavailable with the reason "connect_failed" when no server answers;
  /// the server's own.
  Result<std::string> call(std::string method, const std::string& path, std::string body = {}) const;

  /// "http://127.0.0.1:8081".
  std::string origin() const { return admin_.origin(); }

 private:
  http::Url admin_;
  std::string token_;
};

/// What can be done about the error of a call: `elsewhere` about a server that does not answer. Empty:
/// nothing is known.
std::string advice_for(const Error& error, const std::string& origin, const std::string& elsewhere);
/// Prints an error as commands do, with the advice; returns the exit code.
int complain_of(const Error& error, const std::string& advice);

}  // namespace autoglm::app
