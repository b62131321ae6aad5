#include "app/reloads.h"

#include "base/sha256.h"
#include "base/utf8.h"
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
// A center may change by the millisecond; the loop has others to serve.
constexpr Duration kBetweenNews = std::chrono::milliseconds(100);
// What a refused text lacked may have come: a secret's file, a certificate.
constexpr Duration kRetryRefused = std::chrono::seconds(15);
constexpr std::size_t kRemembered = 32;
constexpr std::size_t kLongestError = 4096;

admin::ConfigSource describe_center_source(const ConfigCenter& center) {
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
  if (const auto& center = parts_.live.center()) {
    tell_of_the_start();
    tasks.spawn(center->follow(
        {.names = parts_.names, .files = parts_.files, .metrics = parts_.metrics, .log = parts_.log}));
    tasks.spawn(follow_center());
    center->keep_copy();  // the process has started with it
  }
  tasks.spawn(look_now_and_then());
  co_await tasks.join();
}

/// What the start could not say where it is looked for.
void Reloads::tell_of_the_start() {
  const ConfigCenter& center = *parts_.live.center();
  if (!center.began_with_copy()) return;
  const std::string& why = center.source()->why_refused();
  parts_.log.error("the copy of an earlier configuration of the center is in force",
                   {{"center", center.source()->name()},
                    {"copy", center.copy_path()},
                    {"error", why.empty() ? center.trouble() : why}});
  if (why.empty()) return;
  parts_.metrics
      .counter("autoglm_config_reloads_total", "How often the configuration was read again.",
               {{"outcome", "refused"}})
      .add();
  remember(By::kCenter, center.source()->offered() ? center.source()->offered()->text : std::string(),
           fail(ErrorCode::kInvalidArgument, why));
}

Task<void> Reloads::look_now_and_then() {
  MonotonicTime retried = std::chrono::steady_clock::now();
  while (true) {
    co_await sleep_for(std::chrono::seconds(1));
    const MonotonicTime now = std::chrono::steady_clock::now();
    const auto changed = parts_.live.changed(now);
    const auto& center = parts_.live.center();
    const auto is_centers = [&](const auto& source) { return center && source == center->source(); };
    if (std::ranges::any_of(changed, [&](const auto& source) { return !is_centers(source); })) {
      static_cast<void>(reload(By::kFile));
    } else if (!changed.empty()) {
      static_cast<void>(reload(By::kCenter));
    } else if (center && now - retried >= kRetryRefused) {
      retried = now;
      retry_center();
    }
  }
}

Task<void> Reloads::follow_center() {
  ConfigCenter& center = *parts_.live.center();
  while (true) {
    co_await center.news().wait();
    center.news().clear();
    // It may have been read together with another source's news.
    if (center.source()->changed({})) static_cast<void>(reload(By::kCenter));
    co_await sleep_for(kBetweenNews);
  }
}

/// Says nothing when the text is as wrong as before.
void Reloads::retry_center() {
  center::CenterSource& source = *parts_.live.center()->source();
  const std::string before = source.why_refused();
  if (before.empty() || !source.try_offer()) return;
  auto outcome = try_all();
  if (!outcome) source.refuse(outcome.error().message);
  if (outcome || source.why_refused() != before) static_cast<void>(told(By::kCenter, std::move(outcome)));
}

Task<Result<std::vector<std::string>>> Reloads::read_when_whole() {
  auto looked = co_await parts_.live.look_again(kReloadLooks, kReloadPatience);
  auto outcome = looked ? reload(By::kFile) : told(By::kFile, fail(std::move(looked).error()));
  if (!outcome) co_return fail(std::move(outcome).error());
  co_return std::move(outcome->need_restart);
}

/// Whatever all sources say together.
Result<Reloads::Outcome> Reloads::try_all() {
  auto fresh = parts_.live.read();
  if (!fresh) return fail(std::move(fresh).error());
  auto applied = parts_.apply(*fresh);
  if (applied) parts_.live.set(std::move(*fresh));
  return applied;
}

/// What the center says is tried with every reading: what stood in its way may be gone. Of two that are new,
/// one that is wrong does not keep the other from being put in force.
Result<Reloads::Outcome> Reloads::reload(By by) {
  const auto& center = parts_.live.center();
  const bool has_offer = center && center->source()->try_offer();
  auto outcome = try_all();
  if (outcome) return told(by, std::move(outcome));
  if (has_offer) center->source()->refuse(outcome.error().message);
  if (by == By::kCenter) return told(by, std::move(outcome));
  if (has_offer) {
    auto without = try_all();
    if (without) {
      static_cast<void>(told(By::kCenter, std::move(outcome)));
      return told(by, std::move(without));
    }
    outcome = std::move(without);
  }
  outcome = told(by, std::move(outcome));
  if (const auto& file = parts_.live.file()) file->refuse(outcome.error().message);
  if (has_offer && center->source()->try_offer()) {
    auto alone = try_all();
    if (!alone) center->source()->refuse(alone.error().message);
    static_cast<void>(told(By::kCenter, std::move(alone)));
  }
  return outcome;
}

/// Counts, logs and remembers what became of a reading.
Result<Reloads::Outcome> Reloads::told(By by, Result<Outcome> outcome) {
  const auto& center = parts_.live.center();
  const auto& file = parts_.live.file();
  const std::string source = by == By::kCenter ? center->source()->name()
                             : file            ? file->name()
                                               : "the configuration";
  std::string text = file ? file->text() : std::string();
  if (by == By::kCenter) {
    const auto& version = outcome ? center->source()->in_force() : center->source()->offered();
    text = version ? version->text : std::string();
  }
  remember(by, text, outcome);
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
  need_restart_ = outcome->need_restart;
  parts_.log.info("configuration reloaded",
                  {{"source", source},
                   {"models", parts_.live.current().models.size()},
                   {"restart_needed_for", fmt::format("{}", fmt::join(need_restart_, ", "))}});
  // What waits for a restart was never tried: the copy is what a process has started with, or could.
  if (center && need_restart_.empty()) center->keep_copy();
  return outcome;
}

void Reloads::remember(By by, const std::string& text, const Result<Outcome>& outcome) {
  const auto& center = parts_.live.center();
  const auto& file = parts_.live.file();
  admin::ConfigChange change{
      .at = gateway::to_rfc3339(std::chrono::system_clock::now()),
      .source = {},
      .version = {},
      .checksum = text.empty() ? std::string() : sha256_hex(text),
      .applied = outcome.has_value(),
      .keys = {},
      .error = outcome ? std::string() : excerpt(outcome.error().message, kLongestError)};
  if (outcome) change.keys = outcome->keys;
  if (by == By::kCenter) {
    change.source = center->source()->name();
    const auto& version = outcome ? center->source()->in_force() : center->source()->offered();
    if (version) change.version = version->version;
  } else if (file) {
    change.source = file->name();
  }
  changes_.push_front(std::move(change));
  if (changes_.size() > kRemembered) changes_.pop_back();
}

admin::ConfigView Reloads::view() const {
  admin::ConfigView view{.sources = {},
                         .changes = {changes_.begin(), changes_.end()},
                         .need_restart = need_restart_,
                         .text = config::print(describe_app(), parts_.running, &parts_.live.tree())};
  if (const auto& file = parts_.live.file()) {
    const bool refused = !file->why_refused().empty();
    view.sources.push_back({.name = file->name(),
                            .version = {},
                            .checksum = sha256_hex(file->text()),
                            .state = refused ? "refused" : "in_force",
                            .error = file->why_refused()});
  }
  if (const auto& center = parts_.live.center()) view.sources.push_back(describe_center_source(*center));
  return view;
}

}  // namespace autoglm::app
