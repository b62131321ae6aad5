#pragma once

#include "config/source.h"

#include <optional>
#include <string>
#include <utility>

namespace autoglm::app {

/// The options of `serve` on the command line.
struct ServeOptions {
  std::string config_file;
  std::string model;  ///< --model; wins over MODEL_NAME
  std::optional<std::string> host;
  std::optional<int> port;  ///< 0 to 65535
  std::optional<int> admin_port;
  std::string generation_defaults;  ///< "model" or "none"; empty: not given
};

/// The flags that give a key, or a part of one: --port changes the port of the address that weaker sources
/// give.
class FlagSource final : public config::Source {
 public:
  explicit FlagSource(ServeOptions options) : options_(std::move(options)) {}

  std::string name() const override { return "the command line"; }
  bool read(const config::Section& root, config::Node& tree, config::Diagnostics& problems) const override;

 private:
  ServeOptions options_;
};

}  // namespace autoglm::app
