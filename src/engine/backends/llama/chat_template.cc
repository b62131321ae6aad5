#include "engine/backends/llama/chat_template.h"

#include <llama.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string_view>
#include <vector>

namespace autoglm::engine {

namespace {

std::vector<std::string_view> library_names() {
  const std::int32_t count = llama_chat_builtin_templates(nullptr, 0);
  std::vector<const char*> names(static_cast<std::size_t>(std::max(count, 0)));
  llama_chat_builtin_templates(names.data(), names.size());
  return {names.begin(), names.end()};
}

}  // namespace

Result<ChatTemplate> read_chat_template(const std::string& said) {
  if (said.empty()) return ChatTemplate{};
  const auto names = library_names();
  // For ChatML llama.cpp also has a Jinja template.
  if (std::ranges::find(names, said) != names.end())
    return ChatTemplate{.source = said, .is_name = said != "chatml"};
  std::ifstream file(said, std::ios::binary);
  std::string source{std::istreambuf_iterator<char>(file), {}};
  if (file && !source.empty()) return ChatTemplate{.source = std::move(source)};
  return fail(
      ErrorCode::kInvalidArgument,
      fmt::format("`chat_template` is {}, which is no file that can be read and none of the names: {}", said,
                  fmt::join(names, ", ")));
}

}  // namespace autoglm::engine
