#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "cluster/registries/kubernetes/kubernetes_access.h"
#include "cluster/registries/registry_client.h"
#include "http/client.h"
#include "runtime/blocking_pool.h"
#include "runtime/task.h"

#include <memory>
#include <optional>
#include <string>

namespace autoglm::cluster {

/// Asks Kubernetes' API. The token's file is read for each request, since it is replaced about every hour;
/// the files of TLS are read again after a request that failed. Control loop only.
class KubernetesClient {
 public:
  /// `client` and `files`, which reads them, outlive this. Errors: a certificate that cannot be read.
  static Result<std::unique_ptr<KubernetesClient>> create(KubernetesAccess access, http::Client& client,
                                                          BlockingPool& files);

  /// The beginning of an answer to a GET, with status 200; each of its reads may take `patience`. With any
  /// other status it has no response, and a reason.
  struct Answer {
    std::unique_ptr<http::ClientResponse> response;  ///< null: refused
    int status = 0;
    std::optional<Duration> retry_after;
    std::string reason;  ///< what a refusal says, with what can be done about it where that is plain
  };
  /// Errors: kUnavailable, kDeadlineExceeded, kBadGateway.
  Task<Result<Answer>> get(std::string path, Duration patience);

  /// For what takes milliseconds, such as reading a long answer.
  BlockingPool& pool() { return files_; }

 private:
  KubernetesClient(KubernetesAccess access, std::unique_ptr<RegistryClient> asks, http::Client& client,
                   BlockingPool& files)
      : access_(std::move(access)), asks_(std::move(asks)), client_(client), files_(files) {}
  Task<Result<Answer>> ask(const std::string& path, Duration patience);
  Task<Result<bool>> read_token();

  const KubernetesAccess access_;
  std::unique_ptr<RegistryClient> asks_;  // null: to be made anew
  http::Client& client_;
  BlockingPool& files_;
  std::string token_;  // last read
};

}  // namespace autoglm::cluster
