#include "cluster/registries/etcd/etcd_lease.h"

#include "base/base64.h"
#include "base/json_string.h"
#include "runtime/socket.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include <charconv>
#include <map>
#include <utility>

namespace autoglm::cluster {

namespace {

using JsonObject = simdjson::dom::object;

std::unexpected<Error> strange_lease(const char* what) {
  return fail(Error{.code = ErrorCode::kBadGateway,
                    .origin = Origin::kEndpoint,
                    .message = std::string("etcd's answer cannot be read: ") + what});
}

/// Numbers of 64 bits are texts in the JSON of protobuf; a zero is left out.
std::int64_t long_at(const JsonObject& from, std::string_view key) {
  std::string_view text;
  std::int64_t number = 0;
  if (from[key].get(number) == simdjson::SUCCESS) return number;
  if (from[key].get(text) != simdjson::SUCCESS) return 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

}  // namespace

std::string etcd_naming_value(const Registration& self) {
  std::map<std::string, std::string> metadata = self.metadata;
  metadata.emplace("weight", std::to_string(self.weight));
  if (!self.tags.empty()) metadata.emplace("tags", fmt::format("{}", fmt::join(self.tags, ",")));
  std::string fields;
  for (const auto& [key, value] : metadata)
    fields += fmt::format("{}{}:{}", fields.empty() ? "" : ",", json_string(key), json_string(value));
  return fmt::format(R"({{"Op":0,"Addr":{},"Metadata":{{{}}}}})",
                     json_string(HostPort{self.host, self.port}.to_string()), fields);
}

std::string etcd_grant_body(std::int64_t ttl_seconds) {
  return fmt::format(R"({{"TTL":"{}"}})", ttl_seconds);
}

std::string etcd_lease_body(std::int64_t lease) { return fmt::format(R"({{"ID":"{}"}})", lease); }

std::string etcd_write_body(std::string_view key, std::string_view value, std::int64_t lease,
                            std::int64_t revision) {
  const std::string its_key = to_base64(key);
  const char* const target =
      revision == 0 ? R"("target":"CREATE","create_revision")" : R"("target":"MOD","mod_revision")";
  return fmt::format(R"({{"compare":[{{"key":"{0}","result":"EQUAL",{1}:"{2}"}}],)"
                     R"("success":[{{"request_put":{{"key":"{0}","value":"{3}","lease":"{4}"}}}}],)"
                     R"("failure":[{{"request_range":{{"key":"{0}"}}}}]}})",
                     its_key, target, revision, to_base64(value), lease);
}

Result<EtcdLease> read_etcd_lease(std::string_view body) {
  simdjson::dom::parser parser;
  JsonObject answer;
  if (parser.parse(body.data(), body.size()).get(answer) != simdjson::SUCCESS)
    return strange_lease("no JSON object");
  // A keepalive is a stream of one.
  if (JsonObject result; answer["result"].get(result) == simdjson::SUCCESS) answer = result;
  const EtcdLease lease{.id = long_at(answer, "ID"), .ttl = long_at(answer, "TTL")};
  if (lease.id == 0) return strange_lease("it has no lease");
  return lease;
}

Result<EtcdWrite> read_etcd_write(std::string_view body) {
  simdjson::dom::parser parser;
  JsonObject answer;
  if (parser.parse(body.data(), body.size()).get(answer) != simdjson::SUCCESS)
    return strange_lease("no JSON object");
  if (simdjson::dom::element header; answer["header"].get(header) != simdjson::SUCCESS)
    return strange_lease("it has no header");
  EtcdWrite write;
  if (answer["succeeded"].get(write.written) != simdjson::SUCCESS) write.written = false;
  if (write.written) return write;
  JsonObject pair;
  if (answer.at_pointer("/responses/0/response_range/kvs/0").get(pair) != simdjson::SUCCESS) return write;
  std::string_view text;
  auto value = pair["value"].get(text) == simdjson::SUCCESS ? read_base64(text) : std::string();
  if (!value) return strange_lease("a value is not in base 64");
  write.holder = EtcdHolder{
      .value = std::move(*value), .lease = long_at(pair, "lease"), .revision = long_at(pair, "mod_revision")};
  return write;
}

}  // namespace autoglm::cluster
