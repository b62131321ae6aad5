#include "cluster/registries/nacos/nacos_messages.h"

#include "base/json_string.h"
#include "base/utf8.h"
#include "http/message.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <tuple>

namespace autoglm::cluster {

namespace {

using NacosElement = simdjson::dom::element;
using NacosObject = simdjson::dom::object;

constexpr double kHeaviest = 10'000;  // Nacos' own bound
constexpr std::int64_t kOk = 200, kBeatOk = 10'200;
constexpr std::int64_t kBeatUnknown = 20'404, kInstanceUnknown = 21'003;
constexpr std::int64_t kTextUnknown = 20'004, kTextUnknownByGrpc = 300;
constexpr Duration kSoonest = std::chrono::milliseconds(500);
constexpr Duration kLatest = std::chrono::seconds(60);

Error strange(std::string_view what) {
  return Error{.code = ErrorCode::kBadGateway,
               .origin = Origin::kEndpoint,
               .message = fmt::format("Nacos' answer cannot be read: {}", what)};
}

std::string text_in(const NacosObject& from, std::string_view key) {
  std::string_view text;
  return from[key].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}
bool flag_in(const NacosObject& from, std::string_view key, bool otherwise) {
  bool value = otherwise;
  return from[key].get(value) == simdjson::SUCCESS ? value : otherwise;
}
std::optional<std::int64_t> number_in(const NacosObject& from, std::string_view key) {
  std::int64_t number = 0;
  return from[key].get(number) == simdjson::SUCCESS ? std::optional(number) : std::nullopt;
}

std::vector<std::string> parts_of(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(','), list.size());
    if (end > 0) parts.emplace_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return parts;
}

bool read_nacos_instance(const NacosElement& from, bool all_healthy, Instance& instance) {
  NacosObject host;
  if (from.get(host) != simdjson::SUCCESS) return false;
  const auto port = number_in(host, "port");
  instance.host = text_in(host, "ip");
  if (instance.host.empty() || !port || *port < 0 || *port > UINT16_MAX) return false;
  instance.port = static_cast<std::uint16_t>(*port);
  double weight = 1;
  if (host["weight"].get(weight) != simdjson::SUCCESS) weight = 1;
  instance.weight = static_cast<std::uint32_t>(std::lround(std::clamp(weight, 1.0, kHeaviest)));
  instance.healthy = weight > 0 && flag_in(host, "enabled", true) &&
                     (all_healthy || flag_in(host, "healthy", flag_in(host, "valid", true)));
  if (NacosObject metadata; host["metadata"].get(metadata) == simdjson::SUCCESS) {
    for (const auto& [key, value] : metadata)
      if (std::string_view text; value.get(text) == simdjson::SUCCESS) instance.metadata.emplace(key, text);
  }
  if (const auto tags = instance.metadata.find("tags"); tags != instance.metadata.end())
    instance.tags = parts_of(tags->second);
  if (std::string cluster = text_in(host, "clusterName"); !cluster.empty())
    instance.metadata.emplace("cluster", std::move(cluster));
  return true;
}

Duration bounded(std::optional<std::int64_t> milliseconds, Duration otherwise) {
  if (!milliseconds || *milliseconds <= 0) return otherwise;
  const std::int64_t most = std::chrono::milliseconds(std::chrono::hours(24 * 365)).count();
  return std::chrono::milliseconds(std::min(*milliseconds, most));
}

}  // namespace

std::string nacos_form(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  std::string form;
  for (const auto& [name, value] : fields) {
    if (value.empty()) continue;
    if (!form.empty()) form += '&';
    form.append(name).append("=").append(http::percent_encode(value));
  }
  return form;
}

std::string nacos_json(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  std::string json = "{";
  for (const auto& [name, value] : fields) {
    if (json.size() > 1) json += ',';
    append_json_string(json, name);
    json += ':';
    append_json_string(json, value);
  }
  return json + '}';
}

Result<NacosService> read_nacos_service(std::string_view body, NacosProtection protection) {
  simdjson::dom::parser parser;
  NacosObject answer;
  if (parser.parse(body.data(), body.size()).get(answer) != simdjson::SUCCESS)
    return fail(strange("no JSON object"));
  NacosObject service = answer;
  simdjson::dom::array hosts;
  if (answer["data"].get(hosts) != simdjson::SUCCESS) {  // not 3.x
    if (NacosObject inner; answer["serviceInfo"].get(inner) == simdjson::SUCCESS) service = inner;
    if (service["hosts"].get(hosts) != simdjson::SUCCESS) return fail(strange("it has no hosts"));
  }
  NacosService read;
  read.fresh_for = std::clamp(bounded(number_in(service, "cacheMillis"), read.fresh_for), kSoonest, kLatest);
  read.made_at = number_in(service, "lastRefTime").value_or(0);
  const bool protecting =
      protection == NacosProtection::kKept && flag_in(service, "reachProtectionThreshold", false);
  for (const NacosElement each : hosts) {
    Instance instance;
    if (!read_nacos_instance(each, protecting, instance))
      return fail(strange("a host has no address or no port"));
    read.instances.push_back(std::move(instance));
  }
  std::ranges::sort(read.instances, {}, [](const Instance& each) { return std::tie(each.host, each.port); });
  return read;
}

Result<NacosLogin> read_nacos_login(std::string_view body) {
  simdjson::dom::parser parser;
  NacosObject answer;
  if (parser.parse(body.data(), body.size()).get(answer) != simdjson::SUCCESS)
    return fail(strange("a login is no JSON object"));
  if (NacosObject inner; answer["data"].get(inner) == simdjson::SUCCESS) answer = inner;
  NacosLogin login{.token = text_in(answer, "accessToken")};
  if (login.token.empty()) return fail(strange("a login has no token"));
  const auto seconds = number_in(answer, "tokenTtl");
  login.valid_for = seconds && *seconds > 0 && *seconds < INT32_MAX ? Duration(std::chrono::seconds(*seconds))
                                                                    : Duration(std::chrono::hours(5));
  return login;
}

Result<void> read_nacos_outcome(std::string_view body) {
  simdjson::dom::parser parser;
  NacosObject answer;
  if (body == "ok") return {};  // of v1
  if (parser.parse(body.data(), body.size()).get(answer) != simdjson::SUCCESS)
    return fail(strange("no JSON object"));
  // gRPC has resultCode and errorCode, HTTP has code.
  const auto result = number_in(answer, "resultCode");
  const auto code = result == kOk ? result
                    : result      ? number_in(answer, "errorCode")
                                  : number_in(answer, "code");
  if (!code) return fail(strange("it has no code"));
  if (result == kOk || (!result && (*code == 0 || *code == kOk || *code == kBeatOk))) return {};
  Error error{
      .code = ErrorCode::kUnavailable,
      .origin = Origin::kEndpoint,
      .message = fmt::format("Nacos refuses: {} (code {})", excerpt(text_in(answer, "message"), 200), *code)};
  if (*code == kBeatUnknown || *code == kInstanceUnknown || *code == kTextUnknown ||
      (result && *code == kTextUnknownByGrpc))
    error.code = ErrorCode::kNotFound;
  if (*code == 401 || *code == 403) error.code = ErrorCode::kPermissionDenied;
  return fail(std::move(error));
}

Result<NacosText> read_nacos_text(std::string_view body) {
  if (auto outcome = read_nacos_outcome(body); !outcome) return fail(std::move(outcome).error());
  simdjson::dom::parser parser;
  NacosObject answer;
  if (parser.parse(body.data(), body.size()).get(answer) != simdjson::SUCCESS)
    return fail(strange("no JSON object"));
  if (NacosObject inner; answer["data"].get(inner) == simdjson::SUCCESS) answer = inner;
  std::string_view text;
  if (answer["content"].get(text) != simdjson::SUCCESS) return fail(strange("it has no content"));
  return NacosText{.text = std::string(text), .md5 = text_in(answer, "md5")};
}

std::string read_nacos_request_id(std::string_view body) {
  simdjson::dom::parser parser;
  NacosObject message;
  std::string_view id;
  if (parser.parse(body.data(), body.size()).get(message) != simdjson::SUCCESS ||
      message["requestId"].get(id) != simdjson::SUCCESS)
    return "null";
  return json_string(id);
}

bool read_nacos_changed(std::string_view body) {
  simdjson::dom::parser parser;
  NacosObject answer;
  simdjson::dom::array changed;
  return parser.parse(body.data(), body.size()).get(answer) == simdjson::SUCCESS &&
         answer["changedConfigs"].get(changed) == simdjson::SUCCESS && changed.size() > 0;
}

std::string md5_of(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_md5(), nullptr);
  std::string hexadecimal;
  for (unsigned i = 0; i < size; ++i) hexadecimal += fmt::format("{:02x}", digest[i]);
  return hexadecimal;
}

Duration read_nacos_beat(std::string_view body) {
  simdjson::dom::parser parser;
  NacosObject answer;
  const Duration usual = std::chrono::seconds(5);
  if (parser.parse(body.data(), body.size()).get(answer) != simdjson::SUCCESS) return usual;
  return std::clamp(bounded(number_in(answer, "clientBeatInterval"), usual), kSoonest, kLatest);
}

}  // namespace autoglm::cluster
