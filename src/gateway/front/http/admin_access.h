#pragma once

#include "gateway/front/http/front.h"

#include <string>
#include <vector>

namespace autoglm::gateway {

/// Who may call the operator's address.
struct AdminAccess {
  std::string token;  ///< empty: none is asked for
  /// It listens for this machine alone. Without a token, only a `Host` that is an address or `localhost` is
  /// served then: a name is a page's, which it has pointed here to be of the same origin (DNS rebinding).
  bool local = false;
};

/// `routes`, for the operator only. The token is asked for by all but the probes (/health, /livez, /readyz),
/// which could not send it; what changes something takes no call from a page of another site, and no form.
/// Refusals: 401, 403, and 400 for a body that is not declared as JSON.
std::vector<Route> for_operators(std::vector<Route> routes, const AdminAccess& access);

}  // namespace autoglm::gateway
