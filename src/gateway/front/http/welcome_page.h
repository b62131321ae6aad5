#pragma once

#include "inference/endpoint.h"

#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// What the page for browsers says of this server.
struct WelcomeFacts {
  struct Model {
    ModelCard card;
    EndpointStatus status;
  };
  std::string version;
  std::string base_url;  ///< as the browser reached it: "http://10.0.0.5:8080"
  std::vector<Model> models;
  bool draining = false;
  bool has_metrics = true;
};

/// One HTML document that needs nothing else: no script, no font, no request. Every name in it is escaped.
std::string welcome_page(const WelcomeFacts& facts);

/// A browser may show the page, and nothing else.
inline constexpr std::string_view kWelcomePolicy =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

/// Whether an Accept header asks for a page, as browsers' do and programs' do not.
bool wants_page(std::string_view accept);

}  // namespace autoglm::gateway
