#include "center/consul/consul_document.h"

#include "base/base64.h"
#include "base/redact.h"
#include "cluster/registries/consul/consul_client.h"
#include "cluster/registries/consul/consul_query.h"
#include "http/message.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <utility>

namespace autoglm::center {

namespace {

std::string path_of(const ConsulDocumentConfig& config) {
  std::string path = "/v1/kv/";
  // A key may have slashes, which are its own.
  for (std::size_t begin = 0; begin <= config.key.size();) {
    const std::size_t end = std::min(config.key.find('/', begin), config.key.size());
    path += (begin == 0 ? "" : "/") + http::percent_encode(config.key.substr(begin, end - begin));
    begin = end + 1;
  }
  path += '?';
  const std::string& datacenter = config.datacenter;
  return datacenter.empty() ? path : path + fmt::format("dc={}&", http::percent_encode(datacenter));
}

}  // namespace

config::Descriptor<ConsulDocumentConfig> describe_consul_document() {
  using C = ConsulDocumentConfig;
  return config::Descriptor<C>("consul", "A key of Consul's store.")
      .include(&C::connection, cluster::describe_consul_connection())
      .field("datacenter", &C::datacenter, {.doc = "Unset: the agent's."})
      .field("key", &C::key,
             {.doc = "The key whose value is the text.",
              .example = "open-autoglm/gateway.yaml",
              .min = 1,
              .required = true})
      .field("wait", &C::wait,
             {.doc = "How long Consul may hold a query back while nothing changes.", .min = 1, .max = 600});
}

std::string asks(const ConsulDocumentConfig& config) {
  std::string path = path_of(config);
  path.pop_back();  // what more is added behind
  return fmt::format("GET {}{}, again with every change", without_secrets(config.connection.address), path);
}

Result<Version> read_consul_key(std::string_view body) {
  simdjson::dom::parser parser;
  simdjson::dom::array entries;
  simdjson::dom::object entry;
  std::uint64_t index = 0;
  const auto strange = [](const char* what) {
    return fail(Error{.code = ErrorCode::kBadGateway,
                      .origin = Origin::kEndpoint,
                      .message = std::string("Consul's answer cannot be read: ") + what});
  };
  if (parser.parse(body.data(), body.size()).get(entries) != simdjson::SUCCESS)
    return strange("no JSON array");
  if (entries.at(0).get(entry) != simdjson::SUCCESS) return strange("it has no entry");
  if (entry["ModifyIndex"].get(index) != simdjson::SUCCESS) return strange("it has no ModifyIndex");
  Version version{.text = {}, .version = std::to_string(index)};
  std::string_view value;
  if (entry["Value"].get(value) != simdjson::SUCCESS) return version;  // null: the value is empty
  auto text = read_base64(value);
  if (!text) return strange("a value is not in base 64");
  version.text = std::move(*text);
  return version;
}

Result<std::unique_ptr<Document>> ConsulDocument::create(const ConsulDocumentConfig& config,
                                                         http::Client& client) {
  auto made = cluster::RegistryClient::create(cluster::consul_options(config.connection), client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Document>(new ConsulDocument(config, std::move(*made)));
}

Task<void> ConsulDocument::run(DocumentSink& sink) {
  cluster::ConsulQuery query(*client_, path_of(config_), config_.wait);
  std::optional<Version> last;
  while (true) {
    const auto answer = co_await query.next();
    if (answer && answer->status == 404) {
      query.told(last.has_value());
      last.reset();
      sink.fail({.code = ErrorCode::kNotFound,
                 .origin = Origin::kEndpoint,
                 .message = fmt::format("Consul has no key {0}; put the configuration there: consul kv put "
                                        "{0} @open-autoglm.yaml",
                                        config_.key)});
      continue;
    }
    auto version = answer ? read_consul_key(answer->body) : fail(answer.error());
    if (!version) {
      sink.fail(version.error());
      if (answer) query.restart();
      last.reset();
      continue;
    }
    query.told(last != *version);
    if (last == *version) continue;
    last = *version;
    sink.push(std::move(*version));
  }
}

}  // namespace autoglm::center
