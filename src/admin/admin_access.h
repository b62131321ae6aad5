#pragma once

#include "gateway/front/http/route.h"

#include <string>
#include <vector>

namespace autoglm::admin {

/// Which callers the operator's address accepts.
struct AdminAccess {
  std::string token;  ///< empty: none is needed
  /// It listens for this machine alone. Without a token, only a `Host` that is an address or `localhost` is
  /// then served: another name may be a web page's, pointed here to be of the same origin (DNS rebinding).
  bool local = false;
  bool certified = false;  ///< every caller has a certificate of an authority that the operator names

  /// Whether strangers cannot call it.
  bool is_guarded() const { return local || certified || !token.empty(); }
};

/// `routes`, for the operator only. All but the probes (/health, /livez, /readyz), whose callers could not
/// send one, need the token. Routes that change something refuse calls from pages of other sites, and forms.
/// What hands out credentials (changes below /keys) is refused where strangers can call.
/// Refusals: 401, 403, and 400 for a body that is not declared as JSON.
std::vector<gateway::Route> for_operators(std::vector<gateway::Route> routes, const AdminAccess& access);

}  // namespace autoglm::admin
