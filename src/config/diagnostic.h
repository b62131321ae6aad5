#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace autoglm::config {

/// Which kind of source gave a value.
enum class ValueOrigin : std::uint8_t { kDefault, kFile, kEnvironment, kFlag };

/// Where a value was written. `source` is a file's name, or what stands for it: "environment variable
/// MAX_WORKERS", "--port". Lines and columns count from 1; 0: the source has none.
struct Location {
  ValueOrigin origin = ValueOrigin::kDefault;
  std::string source;
  int line = 0;
  int column = 0;

  /// "open-autoglm.yaml:12:7", "environment variable MAX_WORKERS".
  std::string to_string() const;
};

/// One mistake in a configuration, or one thing in it that will surprise: where it is, which key, what is
/// wrong and what to write instead. `path` is empty when no key is at fault (a YAML syntax error).
struct Diagnostic {
  Location location;
  std::string path;
  std::string message;
  bool is_warning = false;

  /// "open-autoglm.yaml:12:7: models[0].breaker.error_percent: must be between 1 and 100, got 150";
  /// A warning: "…:12:7: warning: models[0].breaker: …".
  std::string to_string() const;
};

using Diagnostics = std::vector<Diagnostic>;

/// One diagnostic a line; each line ends with a newline.
std::string to_string(const Diagnostics& diagnostics);

/// `parent.key`, `parent["odd key"]`, or `key` at the top.
std::string join_path(const std::string& parent, const std::string& key);

/// `text` in quotes for a message: control characters escaped, bytes that are not UTF-8 replaced,
/// cut after about 60 characters.
std::string quoted(const std::string& text);

}  // namespace autoglm::config
