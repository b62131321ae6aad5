#pragma once

#include <string>
#include <string_view>

namespace autoglm::protocol::kserve {

/// GET /v2.
std::string server_body(std::string_view version);
/// GET /v2/models/{model}: its tensors. A model has the ones of its task.
std::string model_body(std::string_view model);
/// GET /v2/models/{model}/ready, once it is.
std::string ready_body(std::string_view model);

}  // namespace autoglm::protocol::kserve
