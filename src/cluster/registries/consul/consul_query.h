#pragma once

#include "base/random.h"
#include "cluster/registries/registry_client.h"
#include "cluster/registries/retry_delay.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm::cluster {

/// One path of Consul's API, asked again and again by blocking queries: Consul answers when something has
/// changed, or when `wait` is over. Control loop only.
class ConsulQuery {
 public:
  /// `path` has a query, which more is added to: "/v1/kv/a?". `client` outlives it.
  ConsulQuery(RegistryClient& client, std::string path, Duration wait)
      : client_(client), path_(std::move(path)), wait_(wait) {}

  /// The next answer, of a status 200 or 404; the first one, and one after an error, comes at once. Waits
  /// itself before it asks again. Errors: why Consul could not be asked, or refused.
  Task<Result<RegistryClient::Answer>> next();
  /// The last answer was no good: begins anew, later.
  void restart();
  /// The last answer could be used; whether it said something new: an answer is no proof of that, and behind
  /// each one without news the next query comes later, up to a second.
  void told(bool news);

 private:
  RegistryClient& client_;
  const std::string path_;
  const Duration wait_;
  Random random_ = Random::from_entropy();
  RetryDelay delay_;
  std::uint64_t index_ = 0;
  Duration pause_ = Duration::zero();        // before the next query
  Duration least_pause_ = Duration::zero();  // by the length of the last answer
  unsigned quiet_ = 0;                       // answers in a row without news
};

/// The index of the next query after one with `asked` was answered with the header `said`: an index that goes
/// back, or is none, begins anew.
std::uint64_t next_consul_index(std::uint64_t asked, std::string_view said);

}  // namespace autoglm::cluster
