#pragma once

#include "base/random.h"
#include "cluster/registries/kubernetes/json_objects.h"
#include "cluster/registries/kubernetes/kubernetes_client.h"
#include "cluster/registries/kubernetes/kubernetes_messages.h"
#include "cluster/registries/retry_delay.h"
#include "runtime/task.h"

#include <string>
#include <string_view>
#include <vector>

namespace autoglm::cluster {

/// Takes what a KubernetesWatch hears, on the control loop.
class KubernetesSink {
 public:
  virtual ~KubernetesSink() = default;

  /// All objects of now.
  virtual void replace(std::vector<KubernetesObject> objects) = 0;
  /// One is new, or has changed. Errors: it cannot be, and all are listed again.
  virtual Result<void> put(const std::string& name, std::string_view json) = 0;
  virtual void remove(const std::string& name) = 0;
  /// The server could not be asked. All objects are listed again before anything else is said.
  virtual void fail(const Error& error) = 0;
};

/// What a server may make us keep.
struct KubernetesLimits {
  std::size_t objects = 20'000;
  std::size_t endpoints = 200'000;
  std::size_t list_bytes = RegistryClient::kLargestAnswer;  ///< of JSON, of all pages of a list
  std::size_t bytes = std::size_t{96} << 20U;               ///< of JSON, of all objects
};

/// Follows a collection of Kubernetes' objects: lists it, page by page, and watches it from there on. A watch
/// that ends as it should goes on from the last version; what is too old, silent, or has gone wrong in any
/// way, is listed again. Control loop only.
class KubernetesWatch {
 public:
  struct Options {
    std::string path;      ///< "/api/v1/namespaces/default/configmaps"
    std::string selector;  ///< "fieldSelector=…", encoded
    KubernetesLimits limits = {};
  };

  /// `client` outlives it.
  KubernetesWatch(KubernetesClient& client, Options options)
      : client_(client), options_(std::move(options)) {}

  /// Tells `sink`, which outlives the task, for as long as the task lives; lists first. One call at a time.
  Task<void> run(KubernetesSink& sink);

 private:
  /// How a list or a watch ended.
  enum class End : std::uint8_t { kClean, kExpired };

  Task<Result<void>> list(KubernetesSink& sink);
  Task<Result<KubernetesList>> read_page(std::string body);
  Task<Result<End>> read_pages(std::vector<KubernetesObject>& objects);
  Task<Result<void>> follow(KubernetesSink& sink);
  Task<Result<End>> watch(KubernetesSink& sink);
  Result<End> take(std::string_view text, KubernetesSink& sink);
  Error refused(KubernetesClient::Answer& answer);

  KubernetesClient& client_;
  const Options options_;
  Random random_ = Random::from_entropy();
  RetryDelay delay_;
  std::string version_;  // what has been heard, up to here
  bool heard_ = false;   // anything in the present watch
  std::optional<Duration> retry_after_;
};

/// Whether a version is older than one that was heard before: the server's memory is not what it was.
bool goes_back(std::string_view before, std::string_view version);

}  // namespace autoglm::cluster
