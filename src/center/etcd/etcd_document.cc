#include "center/etcd/etcd_document.h"

#include "base/redact.h"

#include <fmt/format.h>

#include <utility>

namespace autoglm::center {

config::Descriptor<EtcdDocumentConfig> describe_etcd_document() {
  using C = EtcdDocumentConfig;
  return config::Descriptor<C>("etcd", "A key of etcd.")
      .include(&C::connection, cluster::describe_etcd_connection())
      .field("key", &C::key,
             {.doc = "The key whose value is the text.",
              .example = "/open-autoglm/gateway.yaml",
              .min = 1,
              .required = true});
}

std::string asks(const EtcdDocumentConfig& config) {
  return fmt::format("POST {}/v3/kv/range of the key {}, then /v3/watch",
                     without_secrets(config.connection.endpoints.front()), config.key);
}

Result<std::unique_ptr<Document>> EtcdDocument::create(const EtcdDocumentConfig& config,
                                                       http::Client& client) {
  auto made = cluster::EtcdSession::create(config.connection, client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Document>(new EtcdDocument(config, std::move(*made)));
}

Task<void> EtcdDocument::run(DocumentSink& sink) {
  co_await watch_.run(
      [this, &sink](const cluster::EtcdWatch::Values& values) {
        const auto found = values.find(key_);
        if (found == values.end()) {
          sink.fail({.code = ErrorCode::kNotFound,
                     .origin = Origin::kEndpoint,
                     .message = fmt::format("etcd has no key {0}; put the configuration there: etcdctl put "
                                            "{0} < open-autoglm.yaml",
                                            key_)});
          return;
        }
        sink.push({.text = *found->second.value, .version = std::to_string(found->second.revision)});
      },
      [&sink](const Error& error) { sink.fail(error); });
}

}  // namespace autoglm::center
