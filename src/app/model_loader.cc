#include "app/model_loader.h"

#include "app/builtins.h"
#include "engine/models/partial_file.h"
#include "engine/models/puller.h"

#include <utility>

namespace autoglm::app {

namespace {

constexpr double kPullShare = 0.9;

/// Loggers may be used on any thread.
Result<engine::PulledModel> pull(const engine::ModelStore& store, const engine::ModelName& name,
                                 const Environment& environment, observe::Logger& log,
                                 const engine::LoadProgress& progress) {
  const auto settings = engine::HubSettings::from(environment);
  if (!settings) return fail(settings.error());
  log.info("model is not here; pulling it", {{"model", name.shown()}, {"cache", store.root().string()}});
  std::uint64_t tenth = 0;
  const engine::PullHooks hooks{
      .progress =
          [&](std::uint64_t done, std::optional<std::uint64_t> total) {
            const double share =
                total && *total > 0 ? static_cast<double>(done) / static_cast<double>(*total) : 0.0;
            if (const auto now = static_cast<std::uint64_t>(10 * share); now > tenth) {
              tenth = now;
              log.info("pulling", {{"model", name.shown()}, {"percent", 10 * now}, {"bytes", done}});
            }
            return progress(kPullShare * share);
          },
      .say =
          [&](std::string_view line) {
            log.info("pulling", {{"model", name.shown()}, {"note", std::string(line)}});
          }};
  return engine::pull_model(store, name, *settings, hooks);
}

}  // namespace

engine::BackendLoader model_loader(const engine::EngineConfig& config, unsigned compute_threads,
                                   ModelSources sources, observe::Logger& log) {
  return [config, compute_threads, sources = std::move(sources),
          &log](const engine::LoadProgress& progress) -> Result<engine::Backend> {
    const engine::ModelStore store(sources.cache);
    const auto name = engine::ModelStore::name(config.path);
    if (!name) return fail(name.error());
    auto path = store.find(*name);
    if (!path) return fail(path.error());
    if (*path) return backend_loader(config, (*path)->string(), compute_threads)(progress);
    const auto pulled = pull(store, *name, sources.environment, log, progress);
    if (!pulled) return fail(pulled.error());
    log.info("pulled", {{"model", name->shown()}, {"path", pulled->path.string()}});
    return backend_loader(config, pulled->path.string(), compute_threads)(
        [&progress](double share) { return progress(kPullShare + (1 - kPullShare) * share); });
  };
}

}  // namespace autoglm::app
