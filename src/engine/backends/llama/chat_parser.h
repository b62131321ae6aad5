#pragma once

#include "engine/backends/backend.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

struct common_chat_parser_params;

namespace autoglm::engine {

/// Makes parsers of answers as `params` say that the model writes them. `tools`: the names that may be
/// called.
std::function<std::unique_ptr<ChatParser>()> chat_parser_maker(
    std::shared_ptr<const common_chat_parser_params> params, std::vector<std::string> tools);

}  // namespace autoglm::engine
