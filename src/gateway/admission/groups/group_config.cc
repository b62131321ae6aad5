#include "gateway/admission/groups/group_config.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

namespace autoglm::gateway {

namespace {

// Each step looks at all of them, and the process of an engine is told of them with each request.
constexpr std::size_t kMostShares = 64;
constexpr std::string_view kPercent = "must be a part such as 50%, more than 0% and at most 100%";

/// "50%" as 0.5; nothing: the text is no part.
std::optional<double> part_of(std::string_view text) {
  if (!text.ends_with('%')) return std::nullopt;
  text.remove_suffix(1);
  double percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (error != std::errc() || end != text.data() + text.size() || !(percent > 0 && percent <= 100))
    return std::nullopt;
  return percent / 100;
}

bool owns_part(const GroupConfig& group) {
  return !group.share.empty() || !group.max.empty() || group.weight != 0;
}

std::vector<config::Violation> check_group(const GroupConfig& group) {
  std::vector<config::Violation> wrong;
  for (const auto& [key, text] : {std::pair("share", &group.share), {"max", &group.max}})
    if (!text->empty() && !part_of(*text)) wrong.push_back({key, std::string(kPercent)});
  if (!wrong.empty()) return wrong;
  if (!group.share.empty() && !group.max.empty() && *part_of(group.max) < *part_of(group.share))
    wrong.push_back({"max", "is less than `share`, which the group has at least"});
  if (group.concurrent != 0) return wrong;
  if (!owns_part(group)) {
    wrong.push_back({"", "does nothing: add `concurrent` (requests at a time), or `share` (of each engine)"});
  } else if (group.queue != BulkheadQueue()) {
    wrong.push_back({"queue",
                     "is for requests beyond `concurrent`, which is not there; those that wait for "
                     "the group's share wait in the engine"});
  }
  return wrong;
}

config::Descriptor<BulkheadQueue> describe_queue() {
  using C = BulkheadQueue;
  return config::Descriptor<C>("queue", "Requests that wait while the group has its `concurrent`.")
      .field("size", &C::size,
             {.doc = "How many may wait. A further request gets 429, unless it is more important than a "
                     "waiting one: then it takes that one's place, and that one gets 429. 0: none waits.",
              .max = 1'000'000})
      .field("timeout", &C::timeout,
             {.doc = "For how long, at most. A request's priority rises by one for each tenth of it.",
              .min = 0.001,
              .max = 3600});
}

}  // namespace

config::Descriptor<GroupConfig> describe_group() {
  using C = GroupConfig;
  return config::Descriptor<C>("group",
                               "Keys that share a number of places, or a part of each engine, so that one "
                               "use of this server leaves room for the others.")
      .field("name", &C::name,
             {.doc = "What keys call it in their `group`.",
              .example = "chat",
              .min = 1,
              .max = 200,
              .required = true})
      .field("concurrent", &C::concurrent,
             {.doc = "Requests of the group at a time; further ones wait in its `queue`. When it is lowered, "
                     "those under way end as usual. 0: no limit.",
              .example = "16",
              .max = 1'000'000})
      .section("queue", &C::queue, describe_queue())
      .field(
          "share", &C::share,
          {.doc = "The group's part of each engine: of its sequences and of what it computes. The group has "
                  "it whenever it asks, and others use what it leaves idle. All shares together are at most "
                  "100%.",
           .example = "50%"})
      .field("max", &C::max,
             {.doc = "The most that the group has of an engine's sequences, even if the rest is idle.",
              .example = "80%"})
      .field(
          "weight", &C::weight,
          {.doc =
               "How groups divide what shares leave open, by tokens: 3 gets three times what 1 gets. Groups "
               "with a `share` or `max` have 1, and so have all other requests together.",
           .example = "3",
           .min = 0,
           .max = 1000})
      .check(check_group)
      .live(true);
}

LiveGroupShares::Table shares_of(const std::vector<GroupConfig>& groups) {
  LiveGroupShares::Table table;
  for (const GroupConfig& group : groups) {
    if (!owns_part(group)) continue;
    table.push_back({.name = group.name,
                     .share = part_of(group.share).value_or(0),
                     .max = part_of(group.max).value_or(1),
                     .weight = group.weight > 0 ? group.weight : 1});
  }
  return table;
}

std::vector<config::Violation> check_shares(const std::vector<GroupConfig>& groups) {
  const LiveGroupShares::Table table = shares_of(groups);
  if (table.size() > kMostShares)
    return {{"groups",
             fmt::format("{} have `share`, `max` or `weight`, of {} at most", table.size(), kMostShares)}};
  constexpr double kRounding = 1e-9;
  double sum = 0;
  for (const GroupShare& each : table) sum += each.share;
  if (sum <= 1 + kRounding) return {};
  return {{"groups", fmt::format("have shares of {:.4g}% together; lower some, to 100% at most", 100 * sum)}};
}

}  // namespace autoglm::gateway
