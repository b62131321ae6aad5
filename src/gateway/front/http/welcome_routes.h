#pragma once

#include "gateway/front/http/readiness.h"
#include "gateway/front/http/route.h"
#include "gateway/model_directory.h"

#include <string>
#include <vector>

namespace autoglm::gateway {

/// Facts for the page for browsers.
struct WelcomeSettings {
  std::string version;
  bool tls = false;  ///< clients reach this server with TLS
  bool metrics = true;
};

/// / for browsers; other clients get a 404 there, as at any unknown path.
std::vector<Route> welcome_routes(const LiveDirectory& models, const Readiness& readiness,
                                  WelcomeSettings settings);

}  // namespace autoglm::gateway
