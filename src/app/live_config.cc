#include "app/live_config.h"

#include "app/model_set.h"

#include <string>
#include <utility>

namespace autoglm::app {

LiveConfig::LiveConfig(ConfigInputs inputs, std::shared_ptr<ConfigCenter> center, Environment environment,
                       std::filesystem::path cache, LoadedConfig loaded)
    : inputs_(std::move(inputs)),
      center_(std::move(center)),
      environment_(std::move(environment)),
      cache_(std::move(cache)),
      current_(std::move(loaded)) {}

void LiveConfig::set(LoadedConfig loaded) {
  current_ = std::move(loaded);
  accept();
}

void LiveConfig::accept() {
  if (inputs_.file) inputs_.file->accept();
  if (center_) center_->source()->accept();
}

std::vector<std::shared_ptr<config::Source>> LiveConfig::changed(MonotonicTime now) {
  std::vector<std::shared_ptr<config::Source>> changed;
  for (const auto& source : inputs_.sources)
    if (source->changed(now)) changed.push_back(source);
  return changed;
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
