#include "app/reloads.h"

#include "base/sha256.h"
#include "config/render.h"
#include "gateway/admission/keys/expiry.h"
#include "runtime/scope.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace autoglm::app {

namespace {

constexpr Duration kReloadLooks = std::chrono::milliseconds(100);
constexpr Duration kReloadPatience = std::chrono::seconds(5);
constexpr std::size_t kRemembered = 32;

std::string name_of(const LiveConfig& live) {
  return live.file() ? live.file()->name() : "the configuration";
}

admin::ConfigSource describe_center(const ConfigCenter& center) {
  const center::CenterSource& source = *center.source();
  admin::ConfigSource described{
      .name = source.name(), .version = {}, .checksum = {}, .state = {}, .error = {}};
  if (source.in_force()) {
    described.version = source.in_force()->version;
    described.checksum = sha256_hex(source.in_force()->text);
  }
  if (!source.why_refused().empty()) {
    described.state = "refused";
    described.error = source.why_refused();
  } else if (!center.trouble().empty()) {
    described.state = "unavailable";
    described.error = center.trouble();
  } else {
    described.state = source.in_force() ? "in_force" : "silent";
  }
  return described;
}

}  // namespace

Reloads::Reloads(Parts parts) : parts_(std::move(parts)) {}

Task<void> Reloads::watch() {
  Scope tasks;
  tasks.spawn(look_now_and_then());
  if (const auto& center = parts_.live.center()) {
    tasks.spawn(center->follow(
        {.names = parts_.names, .files = parts_.files, .metrics = parts_.metrics, .log = parts_.log}));
    tasks.spawn(follow_center());
  }
  co_await tasks.join();
}

Task<void> Reloads::look_now_and_then() {
  while (true) {
    co_await sleep_for(std::chrono::seconds(1));
    const auto changed = parts_.live.changed(std::chrono::steady_clock::now());
    const auto& center = parts_.live.center();
    for (const auto& source : changed) {
      // One that is the center's would be found by its news, too.
      const bool by_center = center && source == center->source();
      static_cast<void>(reload(source->name(), by_center));
      co_await keep_copy();
      break;  // all of them were read
    }
  }
}

Task<void> Reloads::follow_center() {
  ConfigCenter& center = *parts_.live.center();
  co_await keep_copy();  // of what the start was made with
  if (!center.source()->why_refused().empty()) {
    parts_.log.error("the center's configuration was refused; the copy of an earlier one is in force",
                     {{"center", center.source()->name()}, {"error", center.source()->why_refused()}});
  }
  while (true) {
    co_await center.news().wait();
    center.news().clear();
    if (!center.source()->changed({})) continue;  // it was read with another source's
    static_cast<void>(reload(center.source()->name(), true));
    co_await keep_copy();
  }
}

Task<Result<std::vector<std::string>>> Reloads::read_when_whole() {
  auto looked = co_await parts_.live.look_again(kReloadLooks, kReloadPatience);
  auto outcome = looked ? reload(name_of(parts_.live), false) : fail(std::move(looked).error());
  co_await keep_copy();
  if (!outcome) co_return fail(std::move(outcome).error());
  co_return std::move(outcome->need_restart);
}

Result<Reloads::Outcome> Reloads::read_and_apply() {
  auto fresh = parts_.live.read();
  if (!fresh) return fail(std::move(fresh).error());
  auto applied = parts_.apply(*fresh);
  if (applied) parts_.live.set(std::move(*fresh));
  return applied;
}

/// What the center says is tried with every reading: what stood in its way may be gone. Where it stands in
/// the way itself, another source's change is read without it.
Result<Reloads::Outcome> Reloads::reload(const std::string& source, bool by_center) {
  const auto& center = parts_.live.center();
  if (center) center->source()->try_offer();
  auto outcome = read_and_apply();
  if (!outcome && center && center->source()->refuse(outcome.error().message) && !by_center) {
    remember(center->source()->name(), outcome);
    outcome = read_and_apply();
  }
  if (!outcome && !by_center && parts_.live.file()) parts_.live.file()->refuse();
  remember(source, outcome);
  parts_.metrics
      .counter("autoglm_config_reloads_total", "How often the configuration was read again.",
               {{"outcome", outcome ? "ok" : "refused"}})
      .add();
  if (!outcome) {
    parts_.log.error("the configuration was refused; the old one stays",
                     {{"source", source}, {"error", outcome.error().message}});
    parts_.refused();
    return outcome;
  }
  parts_.log.info("configuration reloaded",
                  {{"source", source},
                   {"models", parts_.live.current().models.size()},
                   {"restart_needed_for", fmt::format("{}", fmt::join(outcome->need_restart, ", "))}});
  need_restart_ = outcome->need_restart;
  return outcome;
}

Task<void> Reloads::keep_copy() {
  if (const auto& center = parts_.live.center())
    co_await center->keep_copy(
        {.names = parts_.names, .files = parts_.files, .metrics = parts_.metrics, .log = parts_.log});
}

void Reloads::remember(const std::string& source, const Result<Outcome>& outcome) {
  admin::ConfigChange change{.at = gateway::to_rfc3339(std::chrono::system_clock::now()),
                             .source = source,
                             .version = {},
                             .checksum = {},
                             .applied = outcome.has_value(),
                             .keys = {},
                             .error = outcome ? std::string() : outcome.error().message};
  if (outcome) change.keys = outcome->keys;
  const auto& center = parts_.live.center();
  if (center && source == center->source()->name()) {
    const auto& version = outcome ? center->source()->in_force() : center->source()->offered();
    if (version) {
      change.version = version->version;
      change.checksum = sha256_hex(version->text);
    }
  } else if (parts_.live.file()) {
    change.checksum = sha256_hex(parts_.live.file()->text());
  }
  changes_.push_front(std::move(change));
  if (changes_.size() > kRemembered) changes_.pop_back();
}

admin::ConfigView Reloads::view() const {
  admin::ConfigView view{.sources = {},
                         .changes = {changes_.begin(), changes_.end()},
                         .need_restart = need_restart_,
                         .text = config::print(describe_app(), parts_.live.current(), &parts_.live.tree())};
  if (const auto& file = parts_.live.file()) {
    const bool refused =
        !changes_.empty() && !changes_.front().applied && changes_.front().source == file->name();
    view.sources.push_back({.name = file->name(),
                            .version = {},
                            .checksum = sha256_hex(file->text()),
                            .state = refused ? "refused" : "in_force",
                            .error = refused ? changes_.front().error : std::string()});
  }
  if (const auto& center = parts_.live.center()) view.sources.push_back(describe_center(*center));
  return view;
}

}  // namespace autoglm::app
