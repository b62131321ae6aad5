#include "cluster/registries/kubernetes/kubernetes_access.h"

#include "base/redact.h"

#include "cluster/membership/endpoint_config.h"
#include "http/url.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::cluster {

namespace {

constexpr std::size_t kLargestSmallFile = std::size_t{64} << 10U;
constexpr std::size_t kLongestName = 253;  // a DNS subdomain's

std::string environment_value(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets variables
  return value == nullptr ? std::string() : std::string(value);
}

std::unexpected<Error> no_pod(std::string_view missing) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("this is no pod of Kubernetes, which would know {}: set `{}`", missing, missing));
}

}  // namespace

config::Descriptor<KubernetesAccess> describe_kubernetes_access() {
  using C = KubernetesAccess;
  return config::Descriptor<C>("access", "How Kubernetes' API is reached.")
      .field("address", &C::address,
             {.doc = "Of the API server. Unset: the cluster's that this pod is in, by its service account.",
              .example = "https://10.0.0.1:6443",
              .address = true})
      .field(
          "token", &C::token,
          {.doc = "A bearer token, where `address` is set.", .example = "${env:KUBE_TOKEN}", .secret = true})
      .field("token_file", &C::token_file,
             {.doc = "A file with the token, read for each request; it may be replaced."})
      .section("tls", &C::tls, describe_endpoint_tls())
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (!c.token.empty() && !c.token_file.empty())
          wrong.push_back({"token", "and `token_file` are two answers to one question; keep one"});
        // The pod's own token is for the pod's own API server.
        if (c.address.empty() && (!c.token.empty() || !c.token_file.empty()))
          wrong.push_back({c.token.empty() ? "token_file" : "token", "needs an `address`"});
        if (c.address.empty()) return wrong;
        if (const auto url = http::Url::parse(c.address); !url)
          wrong.push_back({"address", url.error().message});
        return wrong;
      });
}

std::string asked_kubernetes(const KubernetesAccess& access) {
  return access.address.empty() ? "the pod's Kubernetes" : without_secrets(access.address);
}

PodEnvironment pod_environment() {
  return {.host = environment_value("KUBERNETES_SERVICE_HOST"),
          .port = environment_value("KUBERNETES_SERVICE_PORT")};
}

Result<KubernetesAccess> with_pod_defaults(KubernetesAccess access, const PodEnvironment& pod) {
  if (!access.address.empty()) return access;
  if (pod.host.empty() || pod.port.empty()) return no_pod("address");
  const bool is_ipv6 = pod.host.contains(':');
  access.address =
      fmt::format("https://{}{}{}:{}", is_ipv6 ? "[" : "", pod.host, is_ipv6 ? "]" : "", pod.port);
  if (const auto url = http::Url::parse(access.address); !url) return fail(url.error());
  access.token_file = pod.folder + "/token";
  if (access.tls.ca.empty()) access.tls.ca = pod.folder + "/ca.crt";
  return access;
}

Result<std::string> kubernetes_namespace(const std::string& configured, const PodEnvironment& pod) {
  if (!configured.empty()) return configured;
  auto said = read_small_file(pod.folder + "/namespace");
  if (!said || said->empty()) return no_pod("namespace");
  if (const std::string why = why_no_kubernetes_name(*said); !why.empty())
    return fail(ErrorCode::kInvalidArgument, fmt::format("{}/namespace {}", pod.folder, why));
  return said;
}

std::string why_no_kubernetes_name(const std::string& name) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  if (!name.empty() && name.size() <= kLongestName && std::ranges::all_of(name, is_plain)) return {};
  return "is no name in Kubernetes: at most 253 small letters, digits, hyphens and dots";
}

Result<std::string> read_small_file(const std::string& path) {
  const auto unreadable = [&](const char* why) {
    return fail(ErrorCode::kUnavailable, fmt::format("{}: {}", path, why));
  };
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return unreadable(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return unreadable("is no file");  // a pipe would block for ever
  std::ifstream file(path, std::ios::binary);
  std::array<char, kLargestSmallFile> bytes;
  file.read(bytes.data(), bytes.size());
  if (file.bad() || !file.is_open()) return unreadable(std::strerror(errno));
  const std::string_view text(bytes.data(), static_cast<std::size_t>(file.gcount()));
  if (text.size() == kLargestSmallFile) return unreadable("is too large");
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return std::string();
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1));
}

}  // namespace autoglm::cluster
