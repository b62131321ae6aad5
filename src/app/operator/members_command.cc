#include "app/operator/members_command.h"

#include "app/operator/member_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <utility>

namespace autoglm::app {

namespace {

constexpr auto kBetweenLooks = std::chrono::milliseconds(500);
constexpr const char* kElsewhere = "or name another one with --admin";

std::string time_of_day() { return fmt::format("{:%H:%M:%S}", fmt::localtime(std::time(nullptr))); }

/// Nobody wakes it: the command is ended by a signal.
void pause() {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable().wait_for(lock, kBetweenLooks, [] { return false; });
}

/// Until standard output is closed.
void watch(const AdminClient& client, const MembersOptions& options, std::string answer, MemberList list,
           const Paint& paint) {
  bool is_gone = false;
  while (true) {
    pause();
    const auto fresh = client.call("GET", "/members");
    auto read = fresh ? read_members(*fresh) : fail(fresh.error());
    std::string text;
    if (!read) {
      if (!std::exchange(is_gone, true) && !options.json)
        text = fmt::format("{} ! {}: {}\n", time_of_day(), client.origin(), read.error().message);
    } else {
      if (std::exchange(is_gone, false) && !options.json)
        text = fmt::format("{} ! {} answers again\n", time_of_day(), client.origin());
      text +=
          options.json ? (*fresh == answer ? "" : *fresh) : member_changes(list, *read, time_of_day(), paint);
      answer = *fresh;
      list = std::move(*read);
    }
    if (!text.empty() && !print_now(text)) return;
  }
}

}  // namespace

int members(const MembersOptions& options, const std::map<std::string, std::string>& environment) {
  const auto client = AdminClient::of(options.admin, environment);
  if (!client) return complain_of(client.error(), {});
  const auto answer = client->call("GET", "/members");
  auto list = answer ? read_members(*answer) : fail(answer.error());
  if (!list) return complain_of(list.error(), advice_for(list.error(), client->origin(), kElsewhere));
  const Paint paint(shows_colours(STDOUT_FILENO));
  const bool printed = print_now(options.json ? *answer : member_table(*list, paint));
  if (printed && options.watch) watch(*client, options, *answer, std::move(*list), paint);
  return printed ? 0 : 1;
}

}  // namespace autoglm::app
