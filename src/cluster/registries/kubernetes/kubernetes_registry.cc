#include "cluster/registries/kubernetes/kubernetes_registry.h"

#include "base/utf8.h"
#include "http/message.h"
#include "runtime/event_loop.h"
#include "runtime/race.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

namespace autoglm::cluster {

namespace {

// What changed is read by a thirtieth of a core, and as much again is for those who hear of it; no change
// waits longer than the last of these.
constexpr int kShare = 30;
constexpr Duration kLeastBetweenLists = std::chrono::milliseconds(50);
constexpr Duration kMostBetweenLists = std::chrono::milliseconds(700);
std::unexpected<Error> too_many(const char* what) {
  return fail(Error{.code = ErrorCode::kBadGateway,
                    .origin = Origin::kEndpoint,
                    .message = fmt::format("the service has too many {}", what)});
}

}  // namespace

config::Descriptor<KubernetesConfig> describe_kubernetes() {
  using C = KubernetesConfig;
  return config::Descriptor<C>("kubernetes", "A service of Kubernetes, by its EndpointSlices.")
      .field("namespace", &C::space, {.doc = "Of the service. Unset: this pod's.", .example = "default"})
      .field("service", &C::service,
             {.doc = "The service's name.", .example = "llm", .min = 1, .required = true})
      .field("port", &C::port,
             {.doc = "The name or the number of the pods' port. Unset: the only one that they have.",
              .example = "http"})
      .include(&C::access, describe_kubernetes_access())
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        for (const auto& [key, name] : {std::pair("namespace", &c.space), {"service", &c.service}})
          if (auto why = why_no_kubernetes_name(*name); !name->empty() && !why.empty())
            wrong.push_back({key, std::move(why)});
        return wrong;
      });
}

std::string asks(const KubernetesConfig& config) {
  return fmt::format("{} for the EndpointSlices of {} in {}, then a watch", asked_kubernetes(config.access),
                     config.service, config.space.empty() ? "the pod's namespace" : config.space);
}

KubernetesRegistry::KubernetesRegistry(const KubernetesConfig& config, const std::string& space,
                                       std::unique_ptr<KubernetesClient> client, KubernetesLimits limits)
    : config_(config),
      limits_(limits),
      client_(std::move(client)),
      name_(fmt::format("kubernetes {}/{}", space, config.service)),
      watch_(*client_, {.path = fmt::format("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", space),
                        .selector = "labelSelector=" +
                                    http::percent_encode("kubernetes.io/service-name=" + config.service),
                        .limits = limits}) {}

Result<std::unique_ptr<Registry>> KubernetesRegistry::create(const KubernetesConfig& config,
                                                             const PodEnvironment& pod, http::Client& client,
                                                             BlockingPool& files, KubernetesLimits limits) {
  auto access = with_pod_defaults(config.access, pod);
  if (!access) return autoglm::fail(std::move(access).error());
  const auto space = kubernetes_namespace(config.space, pod);
  if (!space) return autoglm::fail(space.error());
  auto made = KubernetesClient::create(std::move(*access), client, files);
  if (!made) return autoglm::fail(std::move(made).error());
  return std::unique_ptr<Registry>(new KubernetesRegistry(config, *space, std::move(*made), limits));
}

void KubernetesRegistry::replace(std::vector<KubernetesObject> objects) {
  slices_.clear();
  changed_.clear();
  sizes_.clear();
  bytes_ = 0;
  for (KubernetesObject& each : objects) {
    bytes_ += each.json.size();
    sizes_.insert_or_assign(each.name, each.json.size());
    changed_.insert_or_assign(std::move(each.name), std::move(each.json));
  }
  dirty_.set();
}

Result<void> KubernetesRegistry::put(const std::string& name, std::string_view json) {
  std::size_t& size = sizes_[name];
  bytes_ += json.size() - size;
  size = json.size();
  if (sizes_.size() > limits_.objects || bytes_ > limits_.bytes) return too_many("EndpointSlices");
  changed_.insert_or_assign(name, std::string(json));
  dirty_.set();
  return {};
}

void KubernetesRegistry::remove(const std::string& name) {
  if (const auto size = sizes_.find(name); size != sizes_.end()) {
    bytes_ -= size->second;
    sizes_.erase(size);
  }
  changed_.erase(name);
  slices_.erase(name);
  dirty_.set();
}

void KubernetesRegistry::fail(const Error& error) { sink_->fail(error); }

Result<void> KubernetesRegistry::read_changed() {
  for (const auto& [name, json] : changed_) {
    auto slice = read_endpoint_slice(json, config_.port);
    // One that cannot be read stays as it was: the service has others.
    if (slice) {
      slices_.insert_or_assign(name, std::move(*slice));
    } else {
      strange_ = std::move(slice).error();
      strange_->message = fmt::format("the EndpointSlice {}: {}", excerpt(name, 64), strange_->message);
    }
  }
  changed_.clear();
  const auto endpoints = [](std::size_t sum, const auto& each) { return sum + each.second.endpoints.size(); };
  if (std::accumulate(slices_.begin(), slices_.end(), std::size_t{0}, endpoints) > limits_.endpoints)
    return too_many("endpoints");
  return {};
}

/// Errors: what has come cannot be read.
Task<Result<void>> KubernetesRegistry::tell_changes() {
  while (true) {
    co_await dirty_.wait();
    dirty_.clear();
    const auto began = std::chrono::steady_clock::now();
    if (auto read = read_changed(); !read) co_return autoglm::fail(std::move(read).error());
    auto instances = merged_slices(slices_, config_.port);
    if (instances) {
      sink_->push(std::move(*instances));
      if (strange_) sink_->fail(*std::exchange(strange_, std::nullopt));
    } else {
      sink_->fail(instances.error());
    }
    co_await sleep_for(std::clamp<Duration>(kShare * (std::chrono::steady_clock::now() - began),
                                            kLeastBetweenLists, kMostBetweenLists));
  }
}

Task<void> KubernetesRegistry::run(RegistrySink& sink) {
  sink_ = &sink;
  Random random = Random::from_entropy();
  RetryDelay delay(std::chrono::seconds(1));
  while (true) {
    auto ended = co_await first_of(watch_.run(*this), tell_changes());
    if (const auto* told = std::get_if<Result<void>>(&ended); told != nullptr && !*told)
      sink.fail(told->error());
    changed_.clear();
    co_await sleep_for(delay.next(random));
  }
}

}  // namespace autoglm::cluster
