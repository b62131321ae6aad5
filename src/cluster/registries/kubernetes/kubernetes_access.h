#pragma once

#include "base/result.h"
#include "cluster/membership/endpoint_spec.h"
#include "config/descriptor.h"

#include <string>

namespace autoglm::cluster {

/// How Kubernetes' API is reached. Without an address: as a pod's service account.
struct KubernetesAccess {
  std::string address;
  std::string token;
  std::string token_file;
  EndpointTls tls;

  bool operator==(const KubernetesAccess&) const = default;
};

config::Descriptor<KubernetesAccess> describe_kubernetes_access();

/// Where the API is, for people; no secret.
std::string asked_kubernetes(const KubernetesAccess& access);

/// What the kubelet gives to a pod, so that it finds the API.
struct PodEnvironment {
  std::string host;  ///< empty: this is no pod
  std::string port;
  std::string folder = "/var/run/secrets/kubernetes.io/serviceaccount";  ///< of the service account
};
/// Of this process.
PodEnvironment pod_environment();

/// Fills in what `access` leaves to the pod. Errors: kInvalidArgument, when this is no pod.
Result<KubernetesAccess> with_pod_defaults(KubernetesAccess access, const PodEnvironment& pod);
/// `configured`, or else the pod's. Errors: kInvalidArgument, when this is no pod.
Result<std::string> kubernetes_namespace(const std::string& configured, const PodEnvironment& pod);

/// Why `name` cannot be the name of a namespace, a service or a ConfigMap; empty: it can.
std::string why_no_kubernetes_name(const std::string& name);

/// The content of a small text file without white space at its ends. Blocks. Errors: kUnavailable.
Result<std::string> read_small_file(const std::string& path);

}  // namespace autoglm::cluster
