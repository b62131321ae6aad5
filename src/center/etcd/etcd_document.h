#pragma once

#include "base/result.h"
#include "center/document.h"
#include "center/etcd/etcd_document_config.h"
#include "cluster/registries/etcd/etcd_watch.h"

#include <memory>
#include <string>

namespace autoglm::center {

/// A key of etcd, followed by a watch. The version is the key's mod_revision.
class EtcdDocument final : public Document {
 public:
  /// `client` outlives it. Errors: a certificate that cannot be read.
  static Result<std::unique_ptr<Document>> create(const EtcdDocumentConfig& config, http::Client& client);

  Task<void> run(DocumentSink& sink) override;
  const std::string& name() const override { return name_; }

 private:
  EtcdDocument(const EtcdDocumentConfig& config, std::unique_ptr<cluster::EtcdSession> session)
      : key_(config.key), name_("etcd " + config.key), watch_(std::move(session), {.begin = config.key}) {}

  const std::string key_;
  const std::string name_;
  cluster::EtcdWatch watch_;
};

}  // namespace autoglm::center
