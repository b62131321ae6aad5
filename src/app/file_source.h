#pragma once

#include "base/result.h"
#include "config/sources.h"
#include "config/watched_file.h"

#include <expected>
#include <memory>
#include <string>
#include <utility>

namespace autoglm::app {

/// The configuration's file. Its text is read when it is opened, and again when it has changed and is whole.
class FileSource final : public config::YamlSource {
 public:
  /// Errors: why the file cannot be read, as a line.
  static std::expected<std::shared_ptr<FileSource>, std::string> open(const std::string& path,
                                                                      const config::Environment& environment);

  /// A text that was taken later is also refused when it looks like a part of a file.
  bool read(const config::Section& root, config::Node& tree, config::Diagnostics& problems) const override;
  bool changed(MonotonicTime now) override;
  /// For an announced change: takes the text when two looks `between` apart have found the same. Errors: it
  /// cannot be read; it kept changing for `patience`.
  Task<Result<void>> look_again(Duration between, Duration patience);
  /// This is the file's text from now on, until it is refused.
  void take(std::string text);
  /// The text is in force.
  void accept() {
    // Read together with another source's news, the text of before a refused one proves nothing of that.
    if (in_force_ != text()) why_refused_.clear();
    in_force_ = text();
  }
  /// It is not: says again the one that is, lest it stands in the way of other sources.
  void refuse(std::string why) {
    set_text(in_force_);
    why_refused_ = std::move(why);
  }
  /// Why the file's present text is not in force; empty: it is.
  const std::string& why_refused() const { return why_refused_; }

 private:
  FileSource(const std::string& path, config::Environment environment)
      : YamlSource(path, {}, std::move(environment)), file_(path) {}

  config::WatchedFile file_;
  std::string in_force_;
  std::string why_refused_;
  bool may_be_cut_ = false;
};

}  // namespace autoglm::app
