#pragma once

#include "engine/models/hub.h"
#include "http/client.h"
#include "runtime/blocking_pool.h"
#include "runtime/tls.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::engine {

/// Requests to hubs: through proxies, along redirects, with the token only for the hub that it belongs to.
/// Belongs to one loop.
class HubClient {
 public:
  HubClient(BlockingPool& pool, const HubSettings& settings) : pool_(pool), settings_(settings) {}

  struct Answer {
    std::unique_ptr<http::ClientResponse> response;
    http::Url url;            ///< the URL that answered, after redirects
    std::string sha256{};     ///< stated by the hub itself on the way; may be empty
    bool with_token = false;  ///< whether the token was sent to `url`
  };
  using Headers = std::vector<std::pair<std::string, std::string>>;

  /// Errors: kUnavailable, kDeadlineExceeded, kBadGateway (a malformed redirect, or one from https to http).
  Task<Result<Answer>> get(http::Url url, Headers headers);

 private:
  bool deserves_token(const http::Url& url) const;
  Result<void> make_client(const http::Url& url);

  BlockingPool& pool_;
  const HubSettings& settings_;
  std::unique_ptr<http::Client> plain_;
  std::unique_ptr<http::Client> secure_;
};

}  // namespace autoglm::engine
