#include "center/kubernetes/config_map_document.h"

#include "http/message.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include <utility>

namespace autoglm::center {

config::Descriptor<ConfigMapConfig> describe_config_map() {
  using C = ConfigMapConfig;
  return config::Descriptor<C>("kubernetes", "A key of a ConfigMap of Kubernetes.")
      .field("namespace", &C::space, {.doc = "Of the ConfigMap. Unset: this pod's.", .example = "default"})
      .field("config_map", &C::config_map,
             {.doc = "The ConfigMap's name.", .example = "open-autoglm", .min = 1, .required = true})
      .field("key", &C::key, {.doc = "The key in it whose value is the configuration.", .min = 1})
      .include(&C::access, cluster::describe_kubernetes_access())
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        for (const auto& [key, name] : {std::pair("namespace", &c.space), {"config_map", &c.config_map}})
          if (auto why = cluster::why_no_kubernetes_name(*name); !name->empty() && !why.empty())
            wrong.push_back({key, std::move(why)});
        return wrong;
      });
}

Result<Version> read_config_map(std::string_view json, const std::string& key) {
  using simdjson::dom::object;
  simdjson::dom::parser parser;
  object map;
  object metadata;
  std::string_view version;
  if (parser.parse(json.data(), json.size()).get(map) != simdjson::SUCCESS ||
      map["metadata"].get(metadata) != simdjson::SUCCESS ||
      metadata["resourceVersion"].get(version) != simdjson::SUCCESS || version.empty()) {
    return autoglm::fail(Error{.code = ErrorCode::kBadGateway,
                               .origin = Origin::kEndpoint,
                               .message = "Kubernetes' answer is no ConfigMap"});
  }
  object data;
  std::string_view text;
  std::vector<std::string_view> keys;
  if (map["data"].get(data) == simdjson::SUCCESS) {
    if (data[key].get(text) == simdjson::SUCCESS)
      return Version{.text = std::string(text), .version = std::string(version)};
    for (const auto& each : data) keys.push_back(each.key);
  }
  object binary;
  const bool is_binary =
      map["binaryData"].get(binary) == simdjson::SUCCESS && binary[key].error() == simdjson::SUCCESS;
  return autoglm::fail(ErrorCode::kNotFound,
                       is_binary
                           ? fmt::format("has the key {} as binary data; it must be text", key)
                           : fmt::format("has no key {}; {}", key,
                                         keys.empty() ? "it has none at all"
                                                      : fmt::format("it has {}", fmt::join(keys, ", "))));
}

std::string asks(const ConfigMapConfig& config) {
  return fmt::format("{} for {} of the ConfigMap {} in {}, then a watch",
                     cluster::asked_kubernetes(config.access), config.key, config.config_map,
                     config.space.empty() ? "the pod's namespace" : config.space);
}

ConfigMapDocument::ConfigMapDocument(const ConfigMapConfig& config, std::string space,
                                     std::unique_ptr<cluster::KubernetesClient> client)
    : config_(config),
      space_(std::move(space)),
      client_(std::move(client)),
      name_(fmt::format("kubernetes {}/{} {}", space_, config.config_map, config.key)),
      watch_(*client_,
             {.path = fmt::format("/api/v1/namespaces/{}/configmaps", space_),
              .selector = "fieldSelector=" + http::percent_encode("metadata.name=" + config.config_map)}) {}

Result<std::unique_ptr<Document>> ConfigMapDocument::create(const ConfigMapConfig& config,
                                                            const cluster::PodEnvironment& pod,
                                                            http::Client& client, BlockingPool& files) {
  auto access = cluster::with_pod_defaults(config.access, pod);
  if (!access) return autoglm::fail(std::move(access).error());
  auto space = cluster::kubernetes_namespace(config.space, pod);
  if (!space) return autoglm::fail(std::move(space).error());
  auto made = cluster::KubernetesClient::create(std::move(*access), client, files);
  if (!made) return autoglm::fail(std::move(made).error());
  return std::unique_ptr<Document>(new ConfigMapDocument(config, std::move(*space), std::move(*made)));
}

void ConfigMapDocument::replace(std::vector<cluster::KubernetesObject> objects) {
  for (const cluster::KubernetesObject& each : objects) {
    if (each.name != config_.config_map) continue;
    // What is wrong with a map is said; another list would say the same.
    if (auto taken = put(each.name, each.json); !taken) sink_->fail(taken.error());
    return;
  }
  remove(config_.config_map);
}

Result<void> ConfigMapDocument::put(const std::string& name, std::string_view json) {
  if (name != config_.config_map) return {};
  auto version = read_config_map(json, config_.key);
  if (version) {
    sink_->push(std::move(*version));
    return {};
  }
  if (version.error().code != ErrorCode::kNotFound) return autoglm::fail(std::move(version).error());
  sink_->fail(Error{
      .code = ErrorCode::kNotFound,
      .message = fmt::format("ConfigMap {}/{} {}", space_, config_.config_map, version.error().message)});
  return {};
}

void ConfigMapDocument::remove(const std::string& name) {
  if (name != config_.config_map) return;
  sink_->fail(Error{
      .code = ErrorCode::kNotFound,
      .message = fmt::format(
          "there is no ConfigMap {}/{}: kubectl create configmap -n {} {} --from-file={}=open-autoglm.yaml",
          space_, name, space_, name, config_.key)});
}

Task<void> ConfigMapDocument::run(DocumentSink& sink) {
  sink_ = &sink;
  return watch_.run(*this);
}

}  // namespace autoglm::center
