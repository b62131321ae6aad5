#pragma once

#include "app/operator/admin_client.h"

#include <map>
#include <string>

namespace autoglm::app {

struct MembersOptions {
  AdminOptions admin;
  bool json = false;   ///< print the server's answers
  bool watch = false;  ///< go on, and print what changes
};

/// Shows which servers the models of a running gateway have, and where they are from. Returns the exit code;
/// with `watch` only when standard output is closed or the first call fails.
int members(const MembersOptions& options, const std::map<std::string, std::string>& environment);

}  // namespace autoglm::app
