#pragma once

#include "base/result.h"
#include "center/document.h"

#include <optional>
#include <string>
#include <string_view>

namespace autoglm::center {

/// The last text that was in force, in a file of this machine, for a start without the center. Its first line
/// is a comment that names the center and the version. Calls may block; not thread-safe.
class KeptCopy {
 public:
  /// `name`: the document's.
  KeptCopy(std::string path, std::string name) : path_(std::move(path)), name_(std::move(name)) {}

  /// Nothing: there is no copy of this document. Errors: it cannot be read.
  Result<std::optional<Version>> read() const;
  /// Replaces the file in one step, readable for its owner alone; makes its folder. Errors: why not.
  Result<void> write(const Version& version) const;

  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  const std::string name_;
};

}  // namespace autoglm::center
