#pragma once

#include "config/watched_file.h"
#include "gateway/admission/jwt/jwt_verifier.h"
#include "http/client.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "runtime/blocking_pool.h"
#include "runtime/task.h"

#include <memory>
#include <optional>
#include <string>

namespace autoglm::app {

/// Brings the issuer's keys to the verifier, by the configuration of now: a secret, a file that is watched,
/// or an address that is asked at the start, now and then, and when a token names an unknown key, at most
/// every ten seconds. What cannot be read leaves the last keys in place; a set
/// without keys that can be used replaces them. Control thread.
class JwksSource {
 public:
  JwksSource(observe::MetricRegistry& metrics, observe::Logger& log) : metrics_(metrics), log_(log) {}

  /// A configuration that can be taken over, with what was read for it.
  struct Prepared {
    bool is_new = false;  ///< otherwise nothing changes
    std::optional<gateway::JwtConfig> config;
    std::shared_ptr<const gateway::JwkSet> keys;
    std::unique_ptr<config::WatchedFile> file;
  };
  /// Changes nothing. Errors: the file cannot be read, or has no keys.
  Result<Prepared> prepare(const std::optional<gateway::JwtConfig>& config) const;
  /// Takes it over; keys of another source are forgotten.
  void adopt(Prepared prepared);
  /// Follows the file and the address until it is destroyed.
  Task<void> watch();

  gateway::JwtVerifier& verifier() { return verifier_; }

 private:
  Task<void> look();
  Task<void> fetch();
  Task<Result<std::string>> download();
  void take(const Result<std::string>& text);
  void count(const char* outcome);

  observe::MetricRegistry& metrics_;
  observe::Logger& log_;
  gateway::JwtVerifier verifier_;
  std::optional<gateway::JwtConfig> config_;
  std::shared_ptr<const gateway::JwkSet> keys_;  // null: none were fetched yet
  std::unique_ptr<config::WatchedFile> file_;
  std::optional<MonotonicTime> asked_;  // when the address was last asked
  bool is_failing_ = false;
  std::unique_ptr<BlockingPool> names_;  // made for the first call of an address, as is the client
  std::unique_ptr<http::Client> client_;
};

}  // namespace autoglm::app
