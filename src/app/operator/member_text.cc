#include "app/operator/member_text.h"

#include "base/utf8.h"

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

namespace autoglm::app {

namespace {

namespace json = boost::json;

/// Names come from registries: no escape of theirs reaches a terminal.
std::string text_in(const json::object& from, std::string_view key) {
  std::string shown;
  if (const json::value* found = from.if_contains(key); found != nullptr && found->is_string())
    append_printable(shown, std::string_view(found->as_string()));
  return shown;
}

std::int64_t number_in(const json::object& from, std::string_view key) {
  const json::value* found = from.if_contains(key);
  return found != nullptr && found->is_int64() ? found->as_int64() : 0;
}

bool flag_in(const json::object& from, std::string_view key) {
  const json::value* found = from.if_contains(key);
  return found != nullptr && found->is_bool() && found->as_bool();
}

/// Calls `take` with each object of the list at `key`. False: there is no such list.
template <class Take>
bool each_in(const json::object& from, std::string_view key, Take take) {
  const json::value* found = from.if_contains(key);
  if (found == nullptr || !found->is_array()) return false;
  return std::ranges::all_of(found->get_array(), [&take](const json::value& each) {
    if (!each.is_object()) return false;
    take(each.get_object());
    return true;
  });
}

std::string state_of(const MemberList::Member& member, const Paint& paint) {
  if (member.why.empty()) return paint(Style::kGreen, "asked");
  return paint(Style::kYellow, "not asked: " + member.why);
}

std::string notes_of(const MemberList::Member& member) {
  std::string notes;
  if (member.weight != 1) notes += fmt::format(", weight {}", member.weight);
  if (member.backup) notes += ", backup";
  if (member.held) notes += ", held: its registry no longer lists it";
  return notes;
}

using Row = std::array<std::string, 4>;

std::string aligned(const std::vector<Row>& rows, const Paint& paint) {
  std::array<std::size_t, 3> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < widths.size(); ++i) widths.at(i) = std::max(widths.at(i), row.at(i).size());
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < widths.size(); ++i)
      fmt::format_to(std::back_inserter(line), "{:<{}}  ", row.at(i), widths.at(i));
    line += row[3];
    text += (&row == &rows.front() ? paint(Style::kDim, line) : line) + "\n";
  }
  return text;
}

std::string registry_line(const MemberList::Name& name, const MemberList::Registry& registry,
                          const Paint& paint) {
  if (registry.up)
    return fmt::format("{}: {} answers again, with {} of its servers", name.first, name.second,
                       registry.members);
  return fmt::format("{}: {} {}: {}", name.first, name.second, paint(Style::kRed, "cannot be asked"),
                     registry.error.empty() ? "it has not answered yet" : registry.error);
}

}  // namespace

Result<MemberList> read_members(std::string_view answer) {
  boost::system::error_code broken;
  const json::value document = json::parse(json::string_view(answer.data(), answer.size()), broken);
  MemberList list;
  const bool good =
      !broken && document.is_object() &&
      each_in(document.get_object(), "models", [&list](const json::object& model) {
        const std::string name = text_in(model, "model");
        each_in(model, "registries", [&](const json::object& each) {
          list.registries[{name, text_in(each, "registry")}] = {.error = text_in(each, "error"),
                                                                .up = flag_in(each, "up"),
                                                                .members = number_in(each, "members"),
                                                                .left_out = number_in(each, "left_out")};
        });
        each_in(model, "members", [&](const json::object& each) {
          list.members[{name, text_in(each, "endpoint")}] = {.from = text_in(each, "from"),
                                                             .why = text_in(each, "why"),
                                                             .weight = number_in(each, "weight"),
                                                             .held = flag_in(each, "held"),
                                                             .backup = flag_in(each, "backup")};
        });
      });
  if (good) return list;
  return fail(ErrorCode::kBadGateway,
              "what answered lists no members; is it the admin address of an Open-AutoGLM server?");
}

std::string member_table(const MemberList& list, const Paint& paint) {
  std::vector<Row> rows = {{"MODEL", "SERVER", "FROM", "STATE"}};
  for (const auto& [name, member] : list.members)
    rows.push_back({name.first, name.second, member.from, state_of(member, paint) + notes_of(member)});
  std::string text = rows.size() == 1 ? "no model has servers elsewhere\n" : aligned(rows, paint);
  for (const auto& [name, registry] : list.registries) {
    if (!registry.up) text += registry_line(name, registry, paint) + "\n";
    if (registry.left_out > 0) {
      text += fmt::format("{}: {} lists {} more that do not count: unwell, filtered, or no address\n",
                          name.first, name.second, registry.left_out);
    }
  }
  return text;
}

std::string member_changes(const MemberList& before, const MemberList& after, std::string_view time,
                           const Paint& paint) {
  std::string text;
  const auto say = [&](std::string_view sign, Style style, const std::string& what) {
    fmt::format_to(std::back_inserter(text), "{} {} {}\n", paint(Style::kDim, time), paint(style, sign),
                   what);
  };
  for (const auto& [name, member] : before.members)
    if (!after.members.contains(name))
      say("-", Style::kRed, fmt::format("{}: {}, from {}", name.first, name.second, member.from));
  for (const auto& [name, member] : after.members) {
    const auto old = before.members.find(name);
    const std::string state = state_of(member, paint) + notes_of(member);
    if (old == before.members.end()) {
      say("+", Style::kGreen,
          fmt::format("{}: {}, from {}, {}", name.first, name.second, member.from, state));
    } else if (old->second != member) {
      say("~", Style::kYellow, fmt::format("{}: {} {}", name.first, name.second, state));
    }
  }
  for (const auto& [name, registry] : after.registries) {
    const auto old = before.registries.find(name);
    if (old == before.registries.end() ? registry.up : old->second.up == registry.up) continue;
    say("!", registry.up ? Style::kGreen : Style::kRed, registry_line(name, registry, paint));
  }
  return text;
}

}  // namespace autoglm::app
