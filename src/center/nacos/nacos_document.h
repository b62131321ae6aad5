#pragma once

#include "center/document.h"
#include "center/nacos/nacos_document_config.h"
#include "cluster/registries/nacos/nacos_channel.h"
#include "cluster/registries/nacos/nacos_messages.h"
#include "runtime/blocking_pool.h"

#include <memory>
#include <optional>
#include <string>

namespace autoglm::center {

/// A data id of Nacos: over gRPC, where Nacos pushes that it has changed; over HTTP, where it holds a
/// question back until then (v1), or is asked in intervals (v3). Its version is its MD5, as Nacos' console
/// shows it. Control loop only.
class NacosDocument final : public Document {
 public:
  /// `client` and `names`, which looks up hosts, outlive the document's task. Errors: a certificate that
  /// cannot be read.
  static Result<std::unique_ptr<Document>> create(const NacosDocumentConfig& config, http::Client& client,
                                                  BlockingPool& names);

  Task<void> run(DocumentSink& sink) override;
  const std::string& name() const override { return name_; }

 private:
  NacosDocument(const NacosDocumentConfig& config, std::unique_ptr<cluster::NacosChannel> nacos);
  Task<Result<void>> follow(DocumentSink& sink);
  Task<Result<void>> poll(DocumentSink& sink, Deadline until);
  Task<Result<cluster::NacosText>> ask_v1();
  Task<Result<cluster::NacosText>> ask_v3();
  Task<Result<void>> wait_v1();
  bool take(DocumentSink& sink, Result<cluster::NacosText> text);
  std::string md5() const { return last_ ? last_->version : std::string(); }

  const NacosDocumentConfig config_;
  const std::unique_ptr<cluster::NacosChannel> nacos_;
  const std::string name_;
  const std::string tenant_;     // Nacos' older servers know the namespace `public` by no name
  std::optional<Version> last_;  // nothing: it has failed since, or there is none
  bool missing_ = false;         // and that has been said
  bool v3_ = false;              // there is no v1
};

}  // namespace autoglm::center
