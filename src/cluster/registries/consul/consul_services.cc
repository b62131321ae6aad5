#include "cluster/registries/consul/consul_services.h"

#include <simdjson.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <tuple>

namespace autoglm::cluster {

namespace {

using simdjson::dom::element;
using simdjson::dom::object;

std::string text_of(const object& from, std::string_view key) {
  std::string_view text;
  return from[key].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

enum class State : std::uint8_t { kPassing, kWarning, kCritical };

/// The worst of its checks', those of its node included.
State state_of(const object& entry) {
  State worst = State::kPassing;
  simdjson::dom::array checks;
  if (entry["Checks"].get(checks) != simdjson::SUCCESS) return worst;
  for (const element check : checks) {
    std::string_view status;
    if (check["Status"].get(status) != simdjson::SUCCESS) continue;
    if (status == "warning") worst = std::max(worst, State::kWarning);
    if (status != "passing" && status != "warning") worst = State::kCritical;
  }
  return worst;
}

bool read_instance(const element& from, bool passing, Instance& instance) {
  object entry;
  object service;
  if (from.get(entry) != simdjson::SUCCESS || entry["Service"].get(service) != simdjson::SUCCESS)
    return false;
  std::uint64_t port = 0;
  if (service["Port"].get(port) != simdjson::SUCCESS || port > UINT16_MAX) return false;
  instance.port = static_cast<std::uint16_t>(port);
  instance.host = text_of(service, "Address");
  if (object node; instance.host.empty() && entry["Node"].get(node) == simdjson::SUCCESS)
    instance.host = text_of(node, "Address");
  if (instance.host.empty()) return false;
  const State state = state_of(entry);
  instance.healthy = state == State::kPassing || (state == State::kWarning && !passing);
  if (object weights; service["Weights"].get(weights) == simdjson::SUCCESS) {
    std::uint64_t weight = 0;
    if (weights[state == State::kPassing ? "Passing" : "Warning"].get(weight) == simdjson::SUCCESS)
      instance.weight = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(weight, 1, 65'535));
  }
  if (simdjson::dom::array tags; service["Tags"].get(tags) == simdjson::SUCCESS) {
    for (const element tag : tags)
      if (std::string_view text; tag.get(text) == simdjson::SUCCESS) instance.tags.emplace_back(text);
  }
  if (object metadata; service["Meta"].get(metadata) == simdjson::SUCCESS) {
    for (const auto& [key, value] : metadata)
      if (std::string_view text; value.get(text) == simdjson::SUCCESS) instance.metadata.emplace(key, text);
  }
  return true;
}

}  // namespace

Result<std::vector<Instance>> read_consul_services(std::string_view body, bool passing) {
  const auto strange = [](const char* what) {
    return fail(Error{.code = ErrorCode::kBadGateway,
                      .origin = Origin::kEndpoint,
                      .message = std::string("the answer is no list of services: ") + what});
  };
  simdjson::dom::parser parser;
  simdjson::dom::array entries;
  if (parser.parse(body.data(), body.size()).get(entries) != simdjson::SUCCESS)
    return strange("no JSON array");
  std::vector<Instance> instances;
  for (const element entry : entries) {
    Instance instance;
    if (!read_instance(entry, passing, instance)) return strange("an entry has no address or no port");
    instances.push_back(std::move(instance));
  }
  std::ranges::sort(instances, {}, [](const Instance& each) { return std::tie(each.host, each.port); });
  return instances;
}

}  // namespace autoglm::cluster
