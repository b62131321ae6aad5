#include "cluster/registries/consul/consul_registration.h"

#include "base/json_string.h"
#include "runtime/socket.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace autoglm::cluster {

namespace {

using Element = simdjson::dom::element;
using Object = simdjson::dom::object;

constexpr std::uint32_t kMostConsulWeight = 65'535;
constexpr Duration kLeastReaping = std::chrono::minutes(1);  // Consul refuses less

std::unexpected<Error> strange_service(const char* what) {
  return fail(Error{.code = ErrorCode::kBadGateway,
                    .origin = Origin::kEndpoint,
                    .message = std::string("the answer is no service of Consul: ") + what});
}

std::string string_at(const Object& from, std::string_view key) {
  std::string_view text;
  return from[key].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::uint64_t number_of(const Object& from, std::string_view key) {
  std::uint64_t number = 0;
  return from[key].get(number) == simdjson::SUCCESS ? number : 0;
}

std::int64_t whole_seconds(Duration duration) {
  return std::chrono::ceil<std::chrono::seconds>(duration).count();
}

std::string check_of(const Registration& self, const ConsulRegistrarConfig& config) {
  std::string check = R"({"Status":"passing",)";
  if (config.check == ConsulCheck::kTtl) {
    check += fmt::format(R"("TTL":"{}s")", whole_seconds(config.ttl));
  } else {
    const auto scheme = self.metadata.find("scheme");
    const std::string url =
        fmt::format("{}://{}/readyz", scheme == self.metadata.end() ? "http" : scheme->second,
                    HostPort{self.host, self.port}.to_string());
    const auto third = whole_seconds(config.ttl / 3);
    check += fmt::format(R"("HTTP":{},"Interval":"{}s","Timeout":"{}s")", json_string(url), third, third);
  }
  if (config.deregister_after > Duration::zero())
    check += fmt::format(R"(,"DeregisterCriticalServiceAfter":"{}s")",
                         whole_seconds(std::max(config.deregister_after, kLeastReaping)));
  return check + '}';
}

/// Whether no check, its node's included, says that it is dead.
bool lives(const Object& entry) {
  simdjson::dom::array checks;
  if (entry["Checks"].get(checks) != simdjson::SUCCESS) return true;
  return std::ranges::none_of(checks, [](const Element& check) {
    std::string_view status;
    return check["Status"].get(status) == simdjson::SUCCESS && status == "critical";
  });
}

}  // namespace

std::string consul_register_body(const Registration& self, const ConsulRegistrarConfig& config) {
  std::string tags;
  for (const std::string& tag : self.tags) tags += (tags.empty() ? "" : ",") + json_string(tag);
  std::string metadata;
  for (const auto& [key, value] : self.metadata)
    metadata += fmt::format("{}{}:{}", metadata.empty() ? "" : ",", json_string(key), json_string(value));
  return fmt::format(
      R"({{"Name":{},"ID":{},"Address":{},"Port":{},"Tags":[{}],"Meta":{{{}}},"Weights":{{"Passing":{},"Warning":1}},"Check":{}}})",
      json_string(self.service), json_string(self.id), json_string(self.host), self.port, tags, metadata,
      std::clamp(self.weight, 1U, kMostConsulWeight), check_of(self, config));
}

Result<Registration> read_consul_service(std::string_view body) {
  simdjson::dom::parser parser;
  Object service;
  if (parser.parse(body.data(), body.size()).get(service) != simdjson::SUCCESS)
    return strange_service("no JSON object");
  const std::uint64_t port = number_of(service, "Port");
  if (port > UINT16_MAX) return strange_service("its port is none");
  Registration known{.service = string_at(service, "Service"),
                     .id = string_at(service, "ID"),
                     .host = string_at(service, "Address"),
                     .port = static_cast<std::uint16_t>(port)};
  if (known.id.empty()) return strange_service("it has no ID");
  if (Object weights; service["Weights"].get(weights) == simdjson::SUCCESS)
    known.weight =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(number_of(weights, "Passing"), kMostConsulWeight));
  if (simdjson::dom::array tags; service["Tags"].get(tags) == simdjson::SUCCESS) {
    for (const Element tag : tags)
      if (std::string_view text; tag.get(text) == simdjson::SUCCESS) known.tags.emplace_back(text);
  }
  if (Object metadata; service["Meta"].get(metadata) == simdjson::SUCCESS) {
    for (const auto& [key, value] : metadata)
      if (std::string_view text; value.get(text) == simdjson::SUCCESS) known.metadata.emplace(key, text);
  }
  return known;
}

Result<std::optional<std::string>> read_consul_rival(std::string_view body, const Registration& self) {
  simdjson::dom::parser parser;
  simdjson::dom::array entries;
  if (parser.parse(body.data(), body.size()).get(entries) != simdjson::SUCCESS)
    return strange_service("no JSON array");
  for (const Element each : entries) {
    Object entry;
    Object service;
    if (each.get(entry) != simdjson::SUCCESS || entry["Service"].get(service) != simdjson::SUCCESS)
      return strange_service("an entry has no service");
    if (string_at(service, "ID") != self.id || !lives(entry)) continue;
    std::string host = string_at(service, "Address");
    if (Object node; host.empty() && entry["Node"].get(node) == simdjson::SUCCESS)
      host = string_at(node, "Address");
    const std::uint64_t port = number_of(service, "Port");
    if (host == self.host && port == self.port) continue;
    return fmt::format("{}:{}", host, port);
  }
  return std::nullopt;
}

}  // namespace autoglm::cluster
