#pragma once

#include "gateway/front/http/route.h"

#include <functional>
#include <string>
#include <vector>

namespace autoglm::admin {

/// A place where the configuration comes from.
struct ConfigSource {
  std::string name;
  std::string version;   ///< as a center calls it; empty: it has no versions
  std::string checksum;  ///< SHA-256 of the text that is in force, in hexadecimal; empty: there is none
  std::string state;     ///< "in_force", "refused": what it says now is wrong, "unavailable", "silent"
  std::string error;     ///< why
};

/// What became of a source's new text.
struct ConfigChange {
  std::string at;  ///< RFC 3339, in UTC
  std::string source;
  std::string version;
  std::string checksum;
  bool applied = false;
  std::vector<std::string> keys;  ///< that changed
  std::string error;              ///< why it was refused
};

struct ConfigView {
  std::vector<ConfigSource> sources;
  std::vector<ConfigChange> changes;      ///< since the start, the latest first; a few
  std::vector<std::string> need_restart;  ///< keys whose change waits for a restart
  std::string text;                       ///< the configuration in force, in YAML, without secrets
};

/// GET /config, what is in force and who changed it, and GET /config.yaml, the configuration itself.
std::vector<gateway::Route> config_routes(std::function<ConfigView()> view);

}  // namespace autoglm::admin
