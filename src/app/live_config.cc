#include "app/live_config.h"

#include "app/model_set.h"

#include <string>
#include <utility>

namespace autoglm::app {

bool LiveConfig::changed(MonotonicTime now) {
  bool any = false;
  for (const auto& source : inputs_.sources) any |= source->changed(now);
  return any;
}

Task<Result<void>> LiveConfig::look_again(Duration between, Duration patience) {
  if (!inputs_.file) co_return Result<void>();
  co_return co_await inputs_.file->look_again(between, patience);
}

Result<LoadedConfig> LiveConfig::read() const {
  auto loaded = reload_config(inputs_, current_.default_model);
  if (!loaded) {
    std::string mistakes = std::move(loaded.error());
    while (mistakes.ends_with('\n')) mistakes.pop_back();
    return fail(ErrorCode::kInvalidArgument, std::move(mistakes));
  }
  if (auto resolved = resolve(loaded->config.models, cache_); !resolved) return fail(resolved.error());
  return std::move(*loaded);
}

}  // namespace autoglm::app
