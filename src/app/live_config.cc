#include "app/live_config.h"

#include "app/model_set.h"

#include <utility>

namespace autoglm::app {

Result<LoadedConfig> LiveConfig::read(std::string file_text) const {
  auto loaded = reload_config(options_, environment_, std::move(file_text), current_.default_model);
  if (!loaded) {
    std::string mistakes = std::move(loaded.error());
    while (mistakes.ends_with('\n')) mistakes.pop_back();
    return fail(ErrorCode::kInvalidArgument, std::move(mistakes));
  }
  if (auto resolved = resolve(loaded->config.models, cache_); !resolved) return fail(resolved.error());
  return std::move(*loaded);
}

}  // namespace autoglm::app
