#pragma once

#include "engine/backends/chat_format.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

struct common_chat_parser_params;

namespace autoglm::engine {

/// Makes parsers for answers in the format that `params` describe. `tools`: the names of the tools that may
/// be called.
std::function<std::unique_ptr<ChatParser>()> chat_parser_maker(
    std::shared_ptr<const common_chat_parser_params> params, std::vector<std::string> tools);

}  // namespace autoglm::engine
