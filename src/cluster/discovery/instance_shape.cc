#include "cluster/discovery/instance_shape.h"

#include "base/redact.h"
#include "base/utf8.h"
#include "http/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace autoglm::cluster {

namespace {

constexpr std::uint32_t kMostWeight = 1'000'000;

bool matches_pattern(std::string_view value, std::string_view pattern) {
  return pattern.ends_with('*') ? value.starts_with(pattern.substr(0, pattern.size() - 1)) : value == pattern;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

bool matches_any(std::string_view list, std::string_view pattern) {
  if (matches_pattern(list, pattern)) return true;
  while (!list.empty()) {
    const std::string_view each = list.substr(0, list.find(','));
    if (matches_pattern(trimmed(each), pattern)) return true;
    list.remove_prefix(std::min(list.size(), each.size() + 1));
  }
  return false;
}

bool read_number(std::string_view text, std::uint32_t most, std::uint32_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number <= most;
}

bool read_flag(std::string_view text, bool& flag) {
  flag = text == "true" || text == "1" || text == "yes";
  return flag || text == "false" || text == "0" || text == "no" || text.empty();
}

bool read_protocol(std::string_view text, EndpointProtocol& protocol) {
  for (const auto& [name, value] : enum_names(EndpointProtocol{})) {
    if (text != name || value == EndpointProtocol::kGrpc) continue;
    protocol = value;
    return true;
  }
  return false;
}

/// What is said of one of `map`'s keys.
bool take(std::string_view key, const std::string& value, EndpointSpec& spec, std::string& scheme,
          std::string& path) {
  if (key == "weight") return read_number(value, kMostWeight, spec.weight) && spec.weight > 0;
  if (key == "max_connections") return read_number(value, kMostWeight, spec.max_connections);
  if (key == "backup") return read_flag(value, spec.backup);
  if (key == "protocol") return read_protocol(value, spec.protocol);
  if (key == "model") spec.model = value;
  if (key == "scheme") scheme = value;
  if (key == "path") path = value;
  return true;
}

}  // namespace

bool counts(const Instance& instance, const DiscoverConfig& config) {
  if (!instance.healthy) return false;
  const auto has_tag = [&](const std::string& tag) {
    return std::ranges::find(instance.tags, tag) != instance.tags.end();
  };
  if (!std::ranges::all_of(config.tags, has_tag)) return false;
  return std::ranges::all_of(config.filter, [&](const auto& wanted) {
    const auto said = instance.metadata.find(wanted.first);
    return said != instance.metadata.end() && matches_any(said->second, wanted.second);
  });
}

std::optional<EndpointSpec> endpoint_of(const Instance& instance, const DiscoverConfig& config,
                                        std::string& why) {
  EndpointSpec spec = config.endpoint;
  std::string scheme = config.scheme;
  std::string path = config.path;
  spec.weight = static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(std::uint64_t{instance.weight} * config.endpoint.weight, 1, kMostWeight));
  for (const auto& [key, name] : config.map) {
    const auto said = instance.metadata.find(name);
    if (said == instance.metadata.end()) continue;
    if (!take(key, said->second, spec, scheme, path)) {
      why = fmt::format("{}:{} says {} = \"{}\", which is no {}", excerpt(instance.host, 128), instance.port,
                        name, excerpt(said->second, 64), key);
      return std::nullopt;
    }
  }
  const bool is_ipv6 = instance.host.contains(':');
  spec.url = fmt::format("{}://{}{}{}:{}{}", scheme, is_ipv6 ? "[" : "", instance.host, is_ipv6 ? "]" : "",
                         instance.port, path == "/" ? "" : path);
  const auto url = api_url(spec);
  // A host with a slash or an @ in it would make another address of it.
  if (!url || instance.port == 0 || !http::equals_ignoring_case(url->host.host, instance.host)) {
    why = fmt::format("{} is no address of a server", excerpt(without_secrets(spec.url), 256));
    return std::nullopt;
  }
  spec.url = url->origin() + url->target;  // one way to write it, by which endpoints are told apart
  return spec;
}

}  // namespace autoglm::cluster
