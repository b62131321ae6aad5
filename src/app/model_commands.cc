#include "app/model_commands.h"

#include "app/pull_progress.h"
#include "base/clock.h"
#include "base/terminal.h"
#include "engine/models/catalogue.h"
#include "engine/models/partial_file.h"
#include "engine/models/puller.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace autoglm::app {

namespace {

using ItemState = engine::ModelStore::Item::State;

std::string variable(const Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

int complain(const Error& error) {
  fmt::print(stderr, "open-autoglm: {}\n", error.message);
  return error.code == ErrorCode::kInvalidArgument ? 2 : 1;
}

/// Columns of the terminal on standard error; 0: it is no terminal.
unsigned terminal_columns() {
  if (!is_terminal(STDERR_FILENO)) return 0;
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void write(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

std::string state_of(const engine::ModelStore::Item& item) {
  const std::string percent = item.percent ? fmt::format(" {} %", *item.percent) : "";
  switch (item.state) {
    case ItemState::kReady:
      return "ready";
    case ItemState::kPartial:
      return "partial" + percent;
    case ItemState::kPulling:
      return "pulling" + percent;
    case ItemState::kAbsent:
      break;
  }
  return "-";
}

}  // namespace

std::filesystem::path model_cache(const Environment& environment) {
  return engine::model_cache(variable(environment, "XDG_CACHE_HOME"), variable(environment, "HOME"));
}

int pull(const std::string& model, const Environment& environment) {
  const auto name = engine::ModelStore::name(model);
  if (!name) return complain(name.error());
  if (!name->is_fetched()) {
    return complain(Error{.code = ErrorCode::kInvalidArgument,
                          .message = model + " is a path; there is nothing to pull"});
  }
  const auto settings = engine::HubSettings::from(environment);
  if (!settings) return complain(settings.error());
  const engine::ModelStore store(model_cache(environment));
  PullProgress progress(terminal_columns());
  const auto began = std::chrono::steady_clock::now();
  const engine::PullHooks hooks{
      .progress =
          [&](std::uint64_t done, std::optional<std::uint64_t> total) {
            write(progress.next(done, total, to_seconds(std::chrono::steady_clock::now() - began)));
            return true;
          },
      .say = [&](std::string_view line) { write(progress.clear() + std::string(line) + "\n"); }};
  const auto pulled = engine::pull_model(store, *name, *settings, hooks);
  if (!pulled) {
    write(progress.clear());
    return complain(pulled.error());
  }
  if (terminal_columns() > 0 && !pulled->was_here) write("\n");
  if (pulled->was_here) fmt::print(stderr, "{} is here already\n", model);
  fmt::print("{}\n", pulled->path.string());
  return 0;
}

int list_models(const Environment& environment) {
  const engine::ModelStore store(model_cache(environment));
  const Paint paint(shows_colours(STDOUT_FILENO));
  const auto items = store.items();
  std::size_t width = 4;
  for (const auto& item : items) width = std::max(width, item.name.size());
  fmt::print("{}\n", paint(Style::kBold,
                           fmt::format("{:<{}}  {:>9}  {:<11}  ABOUT", "NAME", width, "SIZE", "STATE")));
  for (const auto& item : items) {
    const std::string size = item.bytes > 0 ? engine::shown_bytes(item.bytes) : "-";
    const std::string state = fmt::format("{:<11}", state_of(item));
    const std::string shown = item.state == ItemState::kReady    ? paint(Style::kGreen, state)
                              : item.state == ItemState::kAbsent ? paint(Style::kDim, state)
                                                                 : paint(Style::kYellow, state);
    fmt::print("{:<{}}  {:>9}  {}{}{}\n", item.name, width, size, shown, item.about.empty() ? "" : "  ",
               item.about);
  }
  fmt::print(
      "\nThey are kept in {}.\n"
      "`open-autoglm pull NAME` fetches one, `open-autoglm rm NAME` removes it;\n"
      "hf:ORG/REPO, modelscope:ORG/REPO and https://… are names too.\n",
      store.root().string());
  return 0;
}

int remove_model(const std::string& model, const Environment& environment) {
  const auto name = engine::ModelStore::name(model);
  if (!name) return complain(name.error());
  const auto removed = engine::ModelStore(model_cache(environment)).remove(*name);
  if (!removed) return complain(removed.error());
  fmt::print("removed {}, {}\n", model, engine::shown_bytes(*removed));
  return 0;
}

}  // namespace autoglm::app
