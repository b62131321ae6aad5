#include "cluster/registries/kubernetes/endpoint_slices.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace autoglm::cluster {

namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

using SliceState = SliceEndpoint::State;

// Kubernetes' own labels of a slice.
constexpr std::array<std::string_view, 3> kNoServiceLabels = {
    "endpointslice.kubernetes.io/managed-by", "kubernetes.io/service-name", "service.kubernetes.io/headless"};
constexpr std::size_t kMostLabels = 64;
constexpr std::size_t kLongestLabel = 317 + 63;  // a prefix, a slash, a name; and a value
constexpr std::size_t kMostInSlice = 10'000;     // of a slice; Kubernetes has at most 1,000

std::unexpected<Error> strange_slice(std::string_view what) {
  return fail(Error{.code = ErrorCode::kBadGateway,
                    .origin = Origin::kEndpoint,
                    .message = "an EndpointSlice cannot be read: " + std::string(what)});
}

std::string_view view_in(const object& from, std::string_view key) {
  std::string_view text;
  return from[key].get(text) == simdjson::SUCCESS ? text : std::string_view();
}

/// The elements of a list, which Go writes as null when it is empty. False: it is something else.
bool list_in(const object& from, std::string_view key, std::optional<array>& list) {
  element said;
  if (from[key].get(said) != simdjson::SUCCESS || said.is_null()) return true;
  array found;
  if (said.get(found) != simdjson::SUCCESS) return false;
  list = found;
  return true;
}

struct Port {
  std::string_view name;
  std::uint16_t number = 0;
  std::string_view app_protocol;
};

/// The ports that speak TCP; nothing: one of them is no port.
std::optional<std::vector<Port>> read_ports(const std::optional<array>& list) {
  std::vector<Port> ports;
  if (!list) return ports;
  for (const element each : *list) {
    object said;
    std::uint64_t number = 0;
    if (each.get(said) != simdjson::SUCCESS) return std::nullopt;
    if (const auto protocol = view_in(said, "protocol"); !protocol.empty() && protocol != "TCP") continue;
    element port;
    if (said["port"].get(port) != simdjson::SUCCESS || port.is_null()) continue;  // "any", by its definition
    if (port.get(number) != simdjson::SUCCESS || number == 0 || number > UINT16_MAX) return std::nullopt;
    ports.push_back({.name = view_in(said, "name"),
                     .number = static_cast<std::uint16_t>(number),
                     .app_protocol = view_in(said, "appProtocol")});
  }
  return ports;
}

std::optional<std::uint16_t> port_number(std::string_view text) {
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

const Port* wanted_port(const std::vector<Port>& ports, std::string_view wanted) {
  if (wanted.empty()) return ports.size() == 1 ? ports.data() : nullptr;
  const auto number = port_number(wanted);
  const auto found = std::ranges::find_if(
      ports, [&](const Port& each) { return number ? each.number == *number : each.name == wanted; });
  return found == ports.end() ? nullptr : &*found;
}

std::string names_of(const std::vector<Port>& ports) {
  std::string names;
  for (const Port& each : ports)
    names += fmt::format("{}{}{}{}", names.empty() ? "" : ", ", each.name, each.name.empty() ? "" : " ",
                         each.number);
  return names;
}

/// `unknown` stands for what is not said.
bool condition(const object& conditions, std::string_view key, bool unknown) {
  bool said = false;
  return conditions[key].get(said) == simdjson::SUCCESS ? said : unknown;
}

SliceState slice_state_of(const object& endpoint) {
  object conditions;
  if (endpoint["conditions"].get(conditions) != simdjson::SUCCESS) return SliceState::kReady;
  const bool ready = condition(conditions, "ready", true);
  const bool serving = condition(conditions, "serving", ready);
  // A service that publishes addresses which are not ready calls them ready until they are gone.
  if (condition(conditions, "terminating", false)) return serving ? SliceState::kEnding : SliceState::kDown;
  return ready ? SliceState::kReady : SliceState::kDown;
}

std::string zones_of(const object& endpoint) {
  std::string zones;
  object hints;
  array list;
  if (endpoint["hints"].get(hints) != simdjson::SUCCESS || hints["forZones"].get(list) != simdjson::SUCCESS)
    return zones;
  for (const element each : list) {
    std::string_view name;
    if (each["name"].get(name) == simdjson::SUCCESS) zones.append(zones.empty() ? "" : ",").append(name);
  }
  return zones;
}

void note(Instance& instance, const char* key, std::string_view value) {
  if (!value.empty()) instance.metadata.insert_or_assign(key, std::string(value));
}

/// Whether it has an address.
bool read_endpoint(const object& endpoint, SliceEndpoint& read) {
  array addresses;
  std::string_view first;
  // All addresses of an endpoint lead to the same server.
  if (endpoint["addresses"].get(addresses) != simdjson::SUCCESS || addresses.size() == 0 ||
      addresses.at(0).get(first) != simdjson::SUCCESS || first.empty())
    return false;
  read.state = slice_state_of(endpoint);
  Instance& instance = read.instance;
  instance.host = first;
  note(instance, "zone", view_in(endpoint, "zone"));
  note(instance, "node", view_in(endpoint, "nodeName"));
  note(instance, "hostname", view_in(endpoint, "hostname"));
  note(instance, "hints", zones_of(endpoint));
  if (object target;
      endpoint["targetRef"].get(target) == simdjson::SUCCESS && view_in(target, "kind") == "Pod")
    note(instance, "pod", view_in(target, "name"));
  return true;
}

std::map<std::string, std::string> labels_of(const object& slice) {
  std::map<std::string, std::string> labels;
  object metadata;
  object said;
  if (slice["metadata"].get(metadata) != simdjson::SUCCESS ||
      metadata["labels"].get(said) != simdjson::SUCCESS)
    return labels;
  for (const auto& [key, value] : said) {
    if (std::ranges::find(kNoServiceLabels, key) != kNoServiceLabels.end()) continue;
    // Each endpoint gets them: what is longer than Kubernetes allows would be multiplied.
    if (std::string_view text; value.get(text) == simdjson::SUCCESS && labels.size() < kMostLabels &&
                               key.size() + text.size() <= kLongestLabel)
      labels.emplace(key, text);
  }
  return labels;
}

}  // namespace

Result<EndpointSlice> read_endpoint_slice(std::string_view json, std::string_view port) {
  simdjson::dom::parser parser;
  object slice;
  if (parser.parse(json.data(), json.size()).get(slice) != simdjson::SUCCESS)
    return strange_slice("no JSON object");
  std::optional<array> endpoints;
  std::optional<array> said_ports;
  if (!list_in(slice, "endpoints", endpoints)) return strange_slice("its endpoints are no list");
  if (!list_in(slice, "ports", said_ports)) return strange_slice("its ports are no list");
  const auto ports = read_ports(said_ports);
  if (!ports) return strange_slice("one of its ports is none");
  EndpointSlice read{.endpoints = {}, .ipv6 = view_in(slice, "addressType") == "IPv6", .other_ports = {}};
  if (!endpoints || endpoints->size() == 0) return read;
  if (endpoints->size() > kMostInSlice) return strange_slice("it has too many endpoints");
  const Port* at = wanted_port(*ports, port);
  // A headless service need not say its ports.
  const auto unsaid = ports->empty() ? port_number(port) : std::nullopt;
  if (at == nullptr && !unsaid) {
    read.other_ports = ports->empty() ? "none" : names_of(*ports);
    return read;
  }
  const SliceEndpoint common{
      .instance = {.port = at != nullptr ? at->number : *unsaid, .metadata = labels_of(slice)}};
  for (const element each : *endpoints) {
    object endpoint;
    if (each.get(endpoint) != simdjson::SUCCESS) return strange_slice("an endpoint is no object");
    SliceEndpoint next = common;
    if (!read_endpoint(endpoint, next)) continue;
    if (at != nullptr && at->app_protocol.size() <= kLongestLabel)
      note(next.instance, "app_protocol", at->app_protocol);
    read.endpoints.push_back(std::move(next));
  }
  return read;
}

namespace {

/// Puts slices together; see merged_slices.
class Merge {
 public:
  void add(const SliceEndpoint& each) {
    const auto [known, is_new] = at_.emplace(
        std::pair<std::string_view, std::uint16_t>(each.instance.host, each.instance.port), all_.size());
    if (is_new) {
      all_.push_back(&each);
    } else if (all_[known->second]->state < each.state) {
      all_[known->second] = &each;
    }
  }

  std::vector<Instance> take() const {
    const bool any_ready = std::ranges::any_of(
        all_, [](const SliceEndpoint* each) { return each->state == SliceState::kReady; });
    const SliceState least = any_ready ? SliceState::kReady : SliceState::kEnding;
    std::vector<Instance> instances;
    instances.reserve(all_.size());
    for (const SliceEndpoint* each : all_) {
      instances.push_back(each->instance);
      instances.back().healthy = each->state >= least;
    }
    return instances;
  }

 private:
  struct Hash {
    std::size_t operator()(const std::pair<std::string_view, std::uint16_t>& at) const {
      return std::hash<std::string_view>()(at.first) * 31 + at.second;
    }
  };

  std::vector<const SliceEndpoint*> all_;
  std::unordered_map<std::pair<std::string_view, std::uint16_t>, std::size_t, Hash> at_;
};

/// A pod with both families of addresses is one server.
std::unordered_set<std::string_view> pods_with_ipv4(const std::map<std::string, EndpointSlice>& slices) {
  std::unordered_set<std::string_view> pods;
  const bool both = std::ranges::any_of(slices, [](const auto& each) { return each.second.ipv6; });
  if (!both) return pods;
  for (const auto& [name, slice] : slices) {
    if (slice.ipv6) continue;
    for (const SliceEndpoint& each : slice.endpoints)
      if (const auto pod = each.instance.metadata.find("pod"); pod != each.instance.metadata.end())
        pods.insert(pod->second);
  }
  return pods;
}

}  // namespace

Result<std::vector<Instance>> merged_slices(const std::map<std::string, EndpointSlice>& slices,
                                            std::string_view port) {
  const auto pods = pods_with_ipv4(slices);
  Merge merge;
  std::set<std::string_view> others;
  bool has_port = false;
  for (const auto& [name, slice] : slices) {
    if (!slice.other_ports.empty()) others.insert(slice.other_ports);
    for (const SliceEndpoint& each : slice.endpoints) {
      has_port = true;
      const auto pod = slice.ipv6 ? each.instance.metadata.find("pod") : each.instance.metadata.end();
      if (pod == each.instance.metadata.end() || !pods.contains(pod->second)) merge.add(each);
    }
  }
  if (!has_port && !others.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                port.empty()
                    ? fmt::format("the service has no port or several: {}; name one by `port`",
                                  fmt::join(others, "; "))
                    : fmt::format("the service has no port {}: it has {}", port, fmt::join(others, "; ")));
  }
  return merge.take();
}

}  // namespace autoglm::cluster
