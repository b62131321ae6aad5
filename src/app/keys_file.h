#pragma once

#include "config/watched_file.h"
#include "base/clock.h"
#include "config/sources.h"
#include "gateway/admission/keys/key_config.h"
#include "gateway/admission/keys/key_ring.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::app {

/// The entries of a `keys_file`: a list as `keys:` has it, in YAML or JSON, alone or below `keys:`. Errors:
/// every mistake, with `name`, its line and the key.
Result<std::vector<gateway::KeyConfig>> read_keys(const std::string& name, const std::string& text,
                                                  const config::Environment& environment);

/// The keys of `keys_file`, read again when the file has changed and is complete, as a secret that
/// Kubernetes mounts. A file with a mistake changes nothing; the log says what is wrong. Control thread.
class KeysFile {
 public:
  /// Errors: the file cannot be read, or has mistakes.
  static Result<std::unique_ptr<KeysFile>> open(std::string path, config::Environment environment,
                                                observe::MetricRegistry& metrics, observe::Logger& log);

  /// Whether the keys are other ones than before.
  bool refresh(MonotonicTime now);

  const std::vector<gateway::KeyConfig>& keys() const { return keys_; }
  const std::shared_ptr<const gateway::KeyLayer>& layer() const { return layer_; }

 private:
  KeysFile(std::string path, config::Environment environment, observe::MetricRegistry& metrics,
           observe::Logger& log)
      : path_(std::move(path)),
        environment_(std::move(environment)),
        file_(path_),
        metrics_(metrics),
        log_(log) {}
  Result<void> take(const std::string& text, bool may_be_cut);
  void count(const char* outcome);

  std::string path_;
  config::Environment environment_;
  config::WatchedFile file_;
  observe::MetricRegistry& metrics_;
  observe::Logger& log_;
  std::vector<gateway::KeyConfig> keys_;
  std::shared_ptr<const gateway::KeyLayer> layer_;
};

}  // namespace autoglm::app
