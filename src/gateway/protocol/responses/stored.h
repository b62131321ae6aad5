#pragma once

#include "base/result.h"

#include <span>
#include <string>
#include <string_view>

namespace autoglm::protocol::responses {

/// GET /v1/responses/{id}/input_items: `items`, each a JSON object with an id, as `query` asks for them
/// (`order`, `after`, `limit`). Errors: kInvalidArgument.
Result<std::string> item_list(std::span<const std::string> items, std::string_view query);

/// DELETE /v1/responses/{id}.
std::string deleted_body(std::string_view id);

}  // namespace autoglm::protocol::responses
