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

/// Gets what hubs have: through proxies, along redirects, with the token where it belongs and nowhere else.
/// One loop's.
class HubClient {
 public:
  HubClient(BlockingPool& pool, const HubSettings& settings) : pool_(pool), settings_(settings) {}

  struct Answer {
    std::unique_ptr<http::ClientResponse> response;
    http::Url url;            ///< who answered, behind redirects
    std::string sha256{};     ///< that the hub itself stated on the way; may be empty
    bool with_token = false;  ///< was sent to who answered
  };
  using Headers = std::vector<std::pair<std::string, std::string>>;

  /// Errors: kUnavailable, kDeadlineExceeded, kBadGateway (a redirect that is none, or from https to http).
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
