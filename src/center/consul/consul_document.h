#pragma once

#include "base/result.h"
#include "center/consul/consul_document_config.h"
#include "center/document.h"
#include "cluster/registries/registry_client.h"

#include <memory>
#include <string>
#include <string_view>

namespace autoglm::center {

/// A key of Consul's store, followed by blocking queries. The version is the key's ModifyIndex.
class ConsulDocument final : public Document {
 public:
  /// `client` outlives it. Errors: a certificate that cannot be read.
  static Result<std::unique_ptr<Document>> create(const ConsulDocumentConfig& config, http::Client& client);

  Task<void> run(DocumentSink& sink) override;
  const std::string& name() const override { return name_; }

 private:
  ConsulDocument(const ConsulDocumentConfig& config, std::unique_ptr<cluster::RegistryClient> client)
      : config_(config), client_(std::move(client)), name_("consul " + config.key) {}

  const ConsulDocumentConfig config_;
  const std::unique_ptr<cluster::RegistryClient> client_;
  const std::string name_;
};

/// Reads the answer of /v1/kv/KEY. Errors: kBadGateway for what is no such answer.
Result<Version> read_consul_key(std::string_view body);

}  // namespace autoglm::center
