#pragma once

#include "gateway/front/http/route.h"

#include <span>
#include <string>
#include <string_view>

namespace autoglm::gateway {

/// The OpenAPI 3.1 document of these routes, a path a line: what each takes, with its example, and how its
/// errors look. Routes that are only for some requests are left out, as they are in a 404's list of paths.
std::string openapi_document(std::span<const Route> routes, std::string_view version);

/// GET /openapi.json: the document of `routes` and of itself.
Route openapi_route(std::span<const Route> routes, std::string_view version);

}  // namespace autoglm::gateway
