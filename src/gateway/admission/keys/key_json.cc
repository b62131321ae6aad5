#include "gateway/admission/keys/key_json.h"

#include "base/suggest.h"
#include "base/utf8.h"
#include "config/values.h"
#include "gateway/admission/keys/expiry.h"
#include "gateway/protocol/json/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

namespace autoglm::gateway {

namespace {

using protocol::JsonField;
using protocol::JsonObjectWriter;
using protocol::JsonValue;

constexpr std::size_t kLongestText = 256;
constexpr std::size_t kMostItems = 64;
constexpr std::string_view kNameLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@:-";

Result<void> check_length(const JsonValue& value, std::string_view text) {
  if (text.size() <= kLongestText) return {};
  return fail(value.wrong(fmt::format("at most {} bytes", kLongestText)));
}

template <std::string KeyConfig::* Member>
Result<void> read_name(const JsonValue& value, KeyConfig& key) {
  if (auto read = value.read_string(key.*Member); !read) return read;
  return check_length(value, key.*Member);
}

template <std::vector<std::string> KeyConfig::* Member>
Result<void> read_names(const JsonValue& value, KeyConfig& key) {
  auto names = value.as_strings(kMostItems);
  if (!names) return fail(std::move(names).error());
  for (const std::string& each : *names) {
    if (auto checked = check_length(value, each); !checked) return checked;
    if (each.empty()) return fail(value.wrong("without empty names"));
  }
  key.*Member = std::move(*names);
  return {};
}

Result<void> read_priority(const JsonValue& value, KeyConfig& key) {
  const auto priority = value.as_integer(0, 9);
  if (!priority) return fail(priority.error());
  key.priority = static_cast<std::uint8_t>(*priority);
  return {};
}

Result<void> read_budget_member(std::string_view name, const JsonValue& value, BudgetConfig& budget) {
  if (name == "tokens") {
    const auto tokens = value.as_integer(0, INT64_MAX);
    if (!tokens) return fail(tokens.error());
    budget.tokens = static_cast<std::uint64_t>(*tokens);
  } else if (name == "cost") {
    const auto cost = value.as_number(0, BudgetConfig::kHighestCost);
    if (!cost) return fail(cost.error());
    budget.cost = *cost;
  } else if (name == "per") {
    const auto per = value.as_string();
    if (!per || (*per != "day" && *per != "month")) return fail(value.wrong("\"day\" or \"month\""));
    budget.per = *per == "day" ? BudgetPeriod::kDay : BudgetPeriod::kMonth;
  } else if (name == "hard") {
    const auto hard = value.as_bool();
    if (!hard) return fail(hard.error());
    budget.hard = *hard;
  } else {
    return fail(invalid_field(
        value.path(),
        fmt::format("{} is unknown; a budget has tokens, cost, per and hard", excerpt(value.path(), 64))));
  }
  return {};
}

Result<void> read_budget(const JsonValue& value, KeyConfig& key) {
  BudgetConfig budget;
  auto read = value.for_each_member([&](std::string_view name, const JsonValue& member) {
    return read_budget_member(name, member, budget);
  });
  if (!read) return read;
  for (const auto& rule : describe_budget().description()->checks) {
    for (const config::Violation& wrong : rule(&budget))
      return fail(invalid_field("budget." + wrong.path, "budget." + wrong.path + " " + wrong.message));
  }
  key.budget = budget;
  return {};
}

Result<void> read_labels(const JsonValue& value, KeyConfig& key) {
  key.labels.clear();
  return value.for_each_member([&](std::string_view name, const JsonValue& member) -> Result<void> {
    auto text = member.as_string();
    if (!text) return fail(std::move(text).error());
    if (auto checked = check_length(member, *text); !checked) return checked;
    if (auto checked = check_length(member, name); !checked) return checked;
    if (key.labels.size() >= kMostItems && !key.labels.contains(std::string(name)))
      return fail(invalid_field("labels", fmt::format("labels has more than {} members", kMostItems)));
    key.labels[std::string(name)] = std::move(*text);
    return {};
  });
}

constexpr auto kKeyFields = std::to_array<JsonField<KeyConfig>>({{"name", read_name<&KeyConfig::name>},
                                                                 {"tenant", read_name<&KeyConfig::tenant>},
                                                                 {"group", read_name<&KeyConfig::group>},
                                                                 {"models", read_names<&KeyConfig::models>},
                                                                 {"priority", read_priority},
                                                                 {"limits", read_names<&KeyConfig::limits>},
                                                                 {"budget", read_budget},
                                                                 {"expires", read_name<&KeyConfig::expires>},
                                                                 {"labels", read_labels}});

Error unknown_member(std::string_view name) {
  std::vector<std::string> known;
  for (const auto& field : kKeyFields) known.emplace_back(field.name);
  const auto near = nearest(std::string(name), known);
  return invalid_field(excerpt(name, 64),
                       fmt::format("a key has no \"{}\"{}", excerpt(name, 64),
                                   near ? fmt::format("; did you mean \"{}\"?", *near) : ""));
}

std::string_view state_of(const std::optional<WallTime>& revoked, const std::optional<WallTime>& expires,
                          WallTime now) {
  if (revoked) return "revoked";
  return expires && *expires <= now ? "expired" : "active";
}

void append_list(std::string& out, const std::vector<std::string>& items) {
  out += '[';
  for (const std::string& each : items) {
    if (&each != &items.front()) out += ',';
    append_json_string(out, each);
  }
  out += ']';
}

void write_rights(JsonObjectWriter& object, const KeyConfig& rights) {
  object.text("name", rights.name);
  object.text("tenant", rights.tenant_name());
  if (!rights.group.empty()) object.text("group", rights.group);
  append_list(object.key("models"), rights.models);
  object.number("priority", static_cast<unsigned>(rights.priority));
  append_list(object.key("limits"), rights.limits);
  if (rights.budget) {
    JsonObjectWriter budget(object.key("budget"));
    if (rights.budget->tokens > 0) budget.number("tokens", rights.budget->tokens);
    if (rights.budget->cost > 0) budget.number("cost", rights.budget->cost);
    budget.text("per", rights.budget->per == BudgetPeriod::kDay ? "day" : "month");
    if (rights.budget->hard) budget.flag("hard", true);
    budget.end();
  }
  if (!rights.expires.empty()) object.text("expires", rights.expires);
  std::string& out = object.key("labels");
  out += '{';
  for (const auto& [name, value] : rights.labels) {
    if (out.back() != '{') out += ',';
    append_json_string(out, name);
    out += ':';
    append_json_string(out, value);
  }
  out += '}';
}

std::optional<WallTime> expiry_of(const KeyConfig& rights) {
  const auto moment = parse_moment(rights.expires);
  return moment ? std::optional(*moment) : std::nullopt;
}

void write_stored(JsonObjectWriter& object, const StoredKey& key, WallTime now) {
  write_rights(object, key.rights);
  object.text("source", "store");
  object.text("state", state_of(key.revoked, expiry_of(key.rights), now));
  object.text("tail", key.tail);
  object.text("created", to_rfc3339(key.created));
  if (key.revoked) object.text("revoked", to_rfc3339(*key.revoked));
  if (key.previous && key.previous->until > now)
    object.text("previous_until", to_rfc3339(key.previous->until));
}

}  // namespace

Result<void> check_key_name(std::string_view name) {
  constexpr std::size_t kLongestName = 64;
  const bool usable = !name.empty() && name.size() <= kLongestName &&
                      name.find_first_not_of(kNameLetters) == std::string_view::npos && name.front() != '.' &&
                      name.front() != '-' && !name.starts_with("jwt:");
  if (usable) return {};
  return fail(
      invalid_field("name", fmt::format("name must be 1 to {} letters, digits and . _ @ : - and begin "
                                        "with neither . nor -, got \"{}\"",
                                        kLongestName, excerpt(name, kLongestName))));
}

Result<KeyConfig> read_key(std::string_view body, WallTime now) {
  KeyConfig key;
  auto read = protocol::visit_json_object(body, [&](std::string_view name, const JsonValue& value) {
    const auto field = std::ranges::find(kKeyFields, name, &JsonField<KeyConfig>::name);
    if (field == kKeyFields.end()) return Result<void>(fail(unknown_member(name)));
    return value.is_null() ? Result<void>() : field->read(value, key);
  });
  if (!read) return fail(std::move(read).error());
  if (auto checked = check_key_name(key.name); !checked) return fail(std::move(checked).error());
  if (key.models.empty())
    return fail(invalid_field("models", "models is empty: the key could use none; leave it out for all"));
  if (key.tenant.empty()) key.tenant = key.name;
  if (!key.expires.empty()) {
    const auto moment = parse_expiry(key.expires, now);
    if (!moment) return fail(moment.error());
    key.expires = to_rfc3339(*moment);
  }
  return key;
}

Result<Duration> read_grace(std::string_view body) {
  constexpr auto kLongest = std::chrono::hours(24 * 90);
  Duration grace{};
  if (body.empty()) return grace;
  auto read =
      protocol::visit_json_object(body, [&](std::string_view name, const JsonValue& value) -> Result<void> {
        if (name != "grace") return fail(unknown_member(name));
        if (value.is_null()) return {};
        const auto text = value.as_string();
        const auto parsed = text ? config::parse_duration(*text) : config::Parsed<Duration>(Duration(-1));
        if (!parsed || *parsed < Duration::zero() || *parsed > kLongest)
          return fail(value.wrong("a time such as \"1h\", at most 90d"));
        grace = *parsed;
        return {};
      });
  if (!read) return fail(std::move(read).error());
  return grace;
}

std::string rights_json(const KeyConfig& rights) {
  std::string out;
  JsonObjectWriter object(out);
  write_rights(object, rights);
  object.end();
  return out;
}

void append_key(std::string& out, const KeyConfig& rights, std::string_view source, WallTime now) {
  JsonObjectWriter object(out);
  write_rights(object, rights);
  object.text("source", source);
  object.text("state", state_of(std::nullopt, expiry_of(rights), now));
  object.end();
}

void append_key(std::string& out, const StoredKey& key, WallTime now) {
  JsonObjectWriter object(out);
  write_stored(object, key, now);
  object.end();
}

std::string made_json(const MadeKey& made, WallTime now) {
  std::string out;
  JsonObjectWriter object(out);
  object.text("key", made.key);
  write_stored(object, made.stored, now);
  object.end();
  return out;
}

}  // namespace autoglm::gateway
