#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace autoglm::app {

enum class KeysVerb : std::uint8_t { kCreate, kList, kShow, kRevoke, kRotate };

struct KeysOptions {
  std::string admin;  ///< the admin address; empty: as the environment or the default has it
  std::string token;  ///< of the admin address; may be empty
  std::string store;  ///< the store's file, to be used without a server; empty: a server is asked
  bool json = false;
  bool all = false;  ///< list keys that have ended, too
  std::string name;
  std::string tenant;
  std::string group;
  std::vector<std::string> models;
  std::vector<std::string> limits;
  std::vector<std::string> labels;  ///< NAME=VALUE
  std::uint32_t priority = 0;
  std::uint64_t budget_tokens = 0;
  double budget_cost = 0;
  std::string budget_per = "month";
  bool budget_hard = false;
  std::string expires;
  std::string grace;
};

/// Does what `verb` says. A new key is the only line on standard output. Returns the exit code.
int keys(KeysVerb verb, const KeysOptions& options, const std::map<std::string, std::string>& environment);

}  // namespace autoglm::app
