#include "cluster/registries/etcd/etcd_messages.h"

#include "base/base64.h"
#include "base/json_string.h"
#include "cluster/registries/host_port.h"
#include "http/url.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>
#include <utility>

namespace autoglm::cluster {

namespace {

using simdjson::dom::element;
using simdjson::dom::object;

std::unexpected<Error> strange_answer(const char* what) {
  return fail(Error{.code = ErrorCode::kBadGateway,
                    .origin = Origin::kEndpoint,
                    .message = std::string("etcd's answer cannot be read: ") + what});
}

/// Numbers of 64 bits are texts in the JSON of protobuf.
std::optional<std::int64_t> number_at(const object& from, std::string_view key) {
  std::string_view text;
  std::int64_t number = 0;
  if (from[key].get(number) == simdjson::SUCCESS) return number;
  if (from[key].get(text) != simdjson::SUCCESS) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// Bytes are in base 64; what is empty is left out.
std::optional<std::string> bytes_at(const object& from, std::string_view key) {
  std::string_view text;
  if (from[key].get(text) != simdjson::SUCCESS) return std::string();
  return read_base64(text);
}

std::optional<EtcdValue> read_pair(const object& pair) {
  auto key = bytes_at(pair, "key");
  auto value = bytes_at(pair, "value");
  if (!key || !value) return std::nullopt;
  return EtcdValue{.key = std::move(*key),
                   .value = std::move(*value),
                   .revision = number_at(pair, "mod_revision").value_or(0)};
}

std::string text_of_scalar(const element& value) {
  std::string_view text;
  return value.get(text) == simdjson::SUCCESS ? std::string(text) : simdjson::minify(value);
}

/// The members of a request that say which keys it is about.
std::string key_members(const EtcdKeys& keys) {
  std::string members = fmt::format(R"("key":"{}")", to_base64(keys.begin));
  if (!keys.end.empty()) members += fmt::format(R"(,"range_end":"{}")", to_base64(keys.end));
  return members;
}

}  // namespace

EtcdKeys EtcdKeys::below(std::string prefix) {
  std::string end = prefix;
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (end.empty()) {
    end.assign(1, '\0');  // to the last key
  } else {
    end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  }
  return {.begin = std::move(prefix), .end = std::move(end)};
}

bool EtcdKeys::has(const std::string& key) const {
  if (end.empty()) return key == begin;
  const bool to_the_last = end == std::string_view("\0", 1);
  return key >= begin && (to_the_last || key < end);
}

std::string etcd_range_body(const EtcdKeys& keys) { return fmt::format("{{{}}}", key_members(keys)); }

std::string etcd_watch_body(const EtcdKeys& keys, std::int64_t from) {
  return fmt::format(R"({{"create_request":{{{},"start_revision":"{}"}}}})", key_members(keys), from);
}

std::string etcd_login_body(std::string_view username, std::string_view password) {
  return fmt::format(R"({{"name":{},"password":{}}})", json_string(username), json_string(password));
}

Result<EtcdRange> read_etcd_range(std::string_view body) {
  simdjson::dom::parser parser;
  object answer;
  object header;
  if (parser.parse(body.data(), body.size()).get(answer) != simdjson::SUCCESS)
    return strange_answer("no JSON object");
  if (answer["header"].get(header) != simdjson::SUCCESS) return strange_answer("it has no header");
  const auto revision = number_at(header, "revision");
  if (!revision) return strange_answer("it has no revision");
  EtcdRange range{.values = {}, .revision = *revision};
  simdjson::dom::array pairs;
  if (answer["kvs"].get(pairs) != simdjson::SUCCESS) return range;  // no key: it is left out
  for (const element each : pairs) {
    object pair;
    if (each.get(pair) != simdjson::SUCCESS) return strange_answer("a pair is no object");
    auto value = read_pair(pair);
    if (!value) return strange_answer("a key or a value is not in base 64");
    range.values.push_back(std::move(*value));
  }
  return range;
}

Result<EtcdEvents> read_etcd_events(std::string_view line) {
  simdjson::dom::parser parser;
  object answer;
  object result;
  if (parser.parse(line.data(), line.size()).get(answer) != simdjson::SUCCESS)
    return strange_answer("no JSON object");
  if (answer["result"].get(result) != simdjson::SUCCESS) {
    if (element error; answer["error"].get(error) == simdjson::SUCCESS)
      return EtcdEvents{.changes = {}, .canceled = true, .reason = text_of_scalar(error)};
    return strange_answer("a line of the watch has no result");
  }
  EtcdEvents events;
  if (result["canceled"].get(events.canceled) != simdjson::SUCCESS) events.canceled = false;
  if (std::string_view reason; result["cancel_reason"].get(reason) == simdjson::SUCCESS)
    events.reason = reason;
  simdjson::dom::array list;
  if (result["events"].get(list) != simdjson::SUCCESS) return events;
  for (const element each : list) {
    object event;
    object pair;
    if (each.get(event) != simdjson::SUCCESS || event["kv"].get(pair) != simdjson::SUCCESS)
      return strange_answer("an event has no pair");
    auto value = read_pair(pair);
    if (!value) return strange_answer("a key or a value is not in base 64");
    if (std::string_view type; event["type"].get(type) == simdjson::SUCCESS && type == "DELETE")
      value->value.reset();
    events.changes.push_back(std::move(*value));
  }
  return events;
}

Result<std::string> read_etcd_token(std::string_view body) {
  simdjson::dom::parser parser;
  object answer;
  std::string_view token;
  if (parser.parse(body.data(), body.size()).get(answer) != simdjson::SUCCESS ||
      answer["token"].get(token) != simdjson::SUCCESS || token.empty())
    return strange_answer("a login has no token");
  return std::string(token);
}

std::optional<Instance> read_etcd_instance(std::string_view value) {
  Instance instance;
  std::string address(value);
  if (value.starts_with('{')) {
    simdjson::dom::parser parser;
    object update;
    std::string_view said;
    if (parser.parse(value.data(), value.size()).get(update) != simdjson::SUCCESS ||
        update["Addr"].get(said) != simdjson::SUCCESS)
      return std::nullopt;
    address = said;
    if (std::int64_t deleted = 0; update["Op"].get(deleted) == simdjson::SUCCESS && deleted != 0)
      return std::nullopt;
    if (object metadata; update["Metadata"].get(metadata) == simdjson::SUCCESS) {
      for (const auto& [key, each] : metadata) instance.metadata.emplace(key, text_of_scalar(each));
    }
  }
  if (address.starts_with("http://") || address.starts_with("https://")) {
    const auto url = http::Url::parse(address);
    if (!url) return std::nullopt;
    instance.host = url->host.host;
    instance.port = url->host.port;
    instance.metadata.emplace("scheme", url->tls ? "https" : "http");
    if (url->target != "/") instance.metadata.emplace("path", url->target);
    return instance;
  }
  const auto at = read_host_port(address);
  if (!at) return std::nullopt;
  instance.host = at->host;
  instance.port = at->port;
  return instance;
}

}  // namespace autoglm::cluster
