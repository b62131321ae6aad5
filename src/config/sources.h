#pragma once

#include "config/node.h"
#include "config/type.h"

#include <map>
#include <string>
#include <vector>

namespace autoglm::config {

/// A value that comes neither from the file nor from an OPEN_AUTOGLM_* variable: a flag, or a variable
/// with a name of its own (MAX_WORKERS). `origin` decides what it wins over; of two with the same
/// origin the later one wins.
struct Override {
  std::string path;    ///< "server.listen", "models[0].name"
  std::string text;    ///< a scalar, as it would stand in the file
  std::string source;  ///< for messages: "--port", "environment variable MAX_WORKERS"
  ValueOrigin origin = ValueOrigin::kFlag;
};

/// Where a configuration comes from. Flags win over the environment, the environment over the file, the file
/// over defaults. The environment is passed in: nothing here calls getenv.
struct Sources {
  std::string file_name;  ///< for messages; empty: there is no file
  std::string file_text;
  std::map<std::string, std::string> environment;  ///< all of it: `${env:}` reads it too
  std::vector<Override> overrides;
};

/// The name of the variable that gives the scalar at `path`: OPEN_AUTOGLM_SERVER_LISTEN.
std::string environment_name(const std::string& path);

/// All sources in one tree, `${env:NAME}` expanded. Adds mistakes to `problems`. False when the file cannot
/// be read as YAML; keys missing from the tree then say nothing.
bool merge(const Section& root, const Sources& sources, Node& tree, Diagnostics& problems);

/// Replaces `${env:NAME}` and `${env:NAME:-default}` in every scalar; `$${` stands for `${`.
void expand_environment(Node& tree, const std::map<std::string, std::string>& environment,
                        Diagnostics& problems);

}  // namespace autoglm::config
