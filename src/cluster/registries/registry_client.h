#pragma once

#include "base/result.h"
#include "cluster/membership/endpoint_spec.h"
#include "http/client.h"
#include "http/url.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::cluster {

/// Asks a registry that speaks HTTP: its addresses in turn, where one does not answer. Control loop only.
class RegistryClient {
 public:
  static constexpr std::size_t kLargestAnswer = std::size_t{64} << 20U;

  struct Options {
    std::vector<std::string> addresses;  ///< "http://127.0.0.1:8500"; at least one, each valid
    std::vector<std::pair<std::string, std::string>> headers = {};
    EndpointTls tls = {};
    Duration timeout = std::chrono::seconds(5);  ///< for a connection, and for an answer beyond its wait
  };
  struct Answer {
    int status = 0;
    std::string body;
    std::string index;  ///< of the header X-Consul-Index, where there is one
  };
  struct Question {
    std::string method = "GET";
    std::string path;
    std::string body = {};
    std::string content_type = {};  ///< of `body`; empty: there is none
    std::vector<std::pair<std::string, std::string>> headers = {};
    Duration wait = Duration::zero();  ///< how long the registry may hold its answer back
  };

  /// `client` outlives this. Errors: a certificate that cannot be read.
  static Result<std::unique_ptr<RegistryClient>> create(Options options, http::Client& client);

  /// The answer to a GET of `path` below the address, which the registry may hold back for `wait`. Errors:
  /// kUnavailable, kDeadlineExceeded, kBadGateway: the next call asks the next address.
  Task<Result<Answer>> get(std::string path, Duration wait = Duration::zero());
  /// The same for any request.
  Task<Result<Answer>> send(Question question);
  /// The same for a POST of JSON, and for a PUT.
  Task<Result<Answer>> post(std::string path, std::string body);
  Task<Result<Answer>> put(std::string path, std::string body);
  /// The beginning of an answer without an end, to a POST of JSON; each of its reads may take `patience`.
  /// Errors: those of `post`; an answer that is no success is one, too.
  Task<Result<std::unique_ptr<http::ClientResponse>>> listen(std::string path, std::string body,
                                                             Duration patience);
  /// The beginning of an answer to a GET, whatever its status; it and each of its reads may take `patience`.
  /// Errors: those of `get`.
  Task<Result<std::unique_ptr<http::ClientResponse>>> open(std::string path, Duration patience);
  /// A header of all further requests; empty: none.
  void authorize(std::string token) { token_ = std::move(token); }
  /// Asks the next address from now on.
  void give_up() { at_ = (at_ + 1) % options_.addresses.size(); }
  /// The address that the next call asks.
  const std::string& address() const { return options_.addresses[at_]; }

 private:
  RegistryClient(Options options, std::shared_ptr<const TlsClientContext> tls, http::Client& client)
      : options_(std::move(options)), tls_(std::move(tls)), client_(client) {}
  Result<http::ClientRequest> request(const std::string& path, Duration wait) const;
  Task<Result<std::unique_ptr<http::ClientResponse>>> send(http::ClientRequest request);
  Task<Result<Answer>> ask(http::ClientRequest request, Duration wait);

  const Options options_;
  std::shared_ptr<const TlsClientContext> tls_;  // null: the client's
  http::Client& client_;
  std::string token_;  // of the header Authorization
  std::size_t at_ = 0;
};

/// What a status that is no success says, for logs: with what can be done about it where that is plain.
Error registry_refused(std::string_view address, const RegistryClient::Answer& answer);

}  // namespace autoglm::cluster
