#pragma once

#include "base/error.h"
#include "runtime/task.h"

#include <string>

namespace autoglm::center {

/// A text in a configuration center, and what the center calls this state of it.
struct Version {
  std::string text;
  std::string version;  ///< a revision, an index, a checksum: what the center's own tools show

  bool operator==(const Version&) const = default;
};

/// Takes what a center says, on the loop that runs the document.
class DocumentSink {
 public:
  virtual ~DocumentSink() = default;

  /// The whole text of now. Said again at every change, and perhaps without one.
  virtual void push(Version version) = 0;
  /// The center could not be asked, or has no such document; what it said last stays true.
  virtual void fail(const Error& error) = 0;
};

/// One text in a configuration center: a key of Consul, a ConfigMap, a data id of Nacos. Adding one is a folder
/// here and a line in app/builtins.cc. Checking, keeping and applying what it says are its readers'.
class Document {
 public:
  virtual ~Document() = default;

  /// Pushes the text, again with every change, for as long as the task lives. It goes on through errors by
  /// itself. Called once; `sink` outlives the task.
  virtual Task<void> run(DocumentSink& sink) = 0;
  /// "nacos open-autoglm.yaml": for logs, metrics and the operator. No secret.
  virtual const std::string& name() const = 0;
};

}  // namespace autoglm::center
