#pragma once

#include "center/document.h"
#include "center/file/file_document_config.h"

#include <string>

namespace autoglm::center {

/// A file that others write: a ConfigMap that is mounted, a folder that is kept in step. One that is swapped
/// or written in place counts when it is whole.
class FileDocument final : public Document {
 public:
  explicit FileDocument(FileDocumentConfig config) : path_(std::move(config.path)), name_("file " + path_) {}

  Task<void> run(DocumentSink& sink) override;
  const std::string& name() const override { return name_; }

 private:
  const std::string path_;
  const std::string name_;
};

}  // namespace autoglm::center
