#include "app/keys/key_text.h"

#include "base/utf8.h"
#include "gateway/protocol/json/object_writer.h"

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace autoglm::app {

namespace {

namespace json = boost::json;
using protocol::JsonObjectWriter;

json::value parsed(std::string_view text) {
  boost::system::error_code broken;
  json::value value = json::parse(json::string_view(text.data(), text.size()), broken);
  return broken ? json::value() : value;
}

/// A member as text; empty: there is none. Names come from other people's keys: no escape reaches a terminal.
std::string member(const json::value& key, std::string_view name) {
  const json::object* object = key.if_object();
  const json::value* value = object != nullptr ? object->if_contains(name) : nullptr;
  if (value == nullptr || value->is_null()) return {};
  std::string plain;
  if (const auto* list = value->if_array()) {
    for (const json::value& each : *list) {
      if (!plain.empty()) plain += ", ";
      plain +=
          each.is_string() ? std::string_view(each.as_string()) : std::string_view(json::serialize(each));
    }
  } else if (const auto* members = value->if_object()) {
    for (const auto& each : *members) {
      if (!plain.empty()) plain += ", ";
      plain.append(each.key()).append("=");
      plain += each.value().is_string() ? std::string(std::string_view(each.value().as_string()))
                                        : json::serialize(each.value());
    }
  } else {
    plain = value->is_string() ? std::string(std::string_view(value->as_string())) : json::serialize(*value);
  }
  std::string shown;
  append_printable(shown, plain);
  return shown;
}

void append_strings(std::string& out, const std::vector<std::string>& texts) {
  out += '[';
  for (const std::string& each : texts) {
    if (&each != &texts.front()) out += ',';
    append_json_string(out, each);
  }
  out += ']';
}

using Row = std::array<std::string, 6>;

Row row_of(const json::value& key) {
  const std::string tail = member(key, "tail");
  std::string expires = member(key, "expires");
  return {member(key, "name"),
          member(key, "tenant"),
          member(key, "state"),
          tail.empty() ? "-" : "…" + tail,
          expires.empty() ? "never" : std::move(expires),
          member(key, "source")};
}

/// Columns that it takes in a terminal, as far as names here go.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

Style style_of(std::string_view state) {
  return state == "active" ? Style::kGreen : state == "expired" ? Style::kYellow : Style::kDim;
}

std::string line_of(const Row& row, const std::array<std::size_t, 6>& widths, const Paint& paint, bool head) {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const bool last = i + 1 == row.size();
    const std::string padded =
        row[i] + std::string(last ? 0 : widths[i] - std::min(widths[i], width_of(row[i])), ' ');
    line += head ? paint(Style::kBold, padded) : i == 2 ? paint(style_of(row[i]), padded) : padded;
    if (!last) line += "  ";
  }
  return line + '\n';
}

}  // namespace

Result<std::string> key_body(const KeysOptions& options) {
  std::string body;
  JsonObjectWriter object(body);
  object.text("name", options.name);
  if (!options.tenant.empty()) object.text("tenant", options.tenant);
  if (!options.group.empty()) object.text("group", options.group);
  if (!options.models.empty()) append_strings(object.key("models"), options.models);
  if (options.priority > 0) object.number("priority", options.priority);
  if (!options.limits.empty()) append_strings(object.key("limits"), options.limits);
  if (options.budget_tokens > 0 || options.budget_cost > 0) {
    JsonObjectWriter budget(object.key("budget"));
    budget.number("tokens", options.budget_tokens);
    budget.number("cost", options.budget_cost);
    budget.text("per", options.budget_per);
    if (options.budget_hard) budget.flag("hard", true);
    budget.end();
  }
  if (!options.expires.empty()) object.text("expires", options.expires);
  if (!options.labels.empty()) {
    std::string& out = object.key("labels");
    out += '{';
    for (const std::string& each : options.labels) {
      const std::size_t equals = each.find('=');
      if (equals == std::string::npos || equals == 0)
        return fail(
            invalid_field("--label", "--label must be NAME=VALUE, got \"" + excerpt(each, 64) + "\""));
      if (out.back() != '{') out += ',';
      append_json_string(out, each.substr(0, equals));
      out += ':';
      append_json_string(out, each.substr(equals + 1));
    }
    out += '}';
  }
  object.end();
  return body;
}

std::string rotation_body(const KeysOptions& options) {
  std::string body;
  JsonObjectWriter object(body);
  if (!options.grace.empty()) object.text("grace", options.grace);
  object.end();
  return body;
}

std::string key_in(std::string_view answer) { return member(parsed(answer), "key"); }

std::string state_in(std::string_view answer) { return member(parsed(answer), "state"); }

std::string key_table(std::string_view list, bool all, const Paint& paint) {
  const json::value document = parsed(list);
  const json::object* object = document.if_object();
  const json::value* keys = object != nullptr ? object->if_contains("keys") : nullptr;
  std::vector<Row> rows = {{"NAME", "TENANT", "STATE", "KEY", "EXPIRES", "FROM"}};
  std::size_t hidden = 0;
  if (keys != nullptr && keys->is_array()) {
    for (const json::value& each : keys->as_array()) {
      Row row = row_of(each);
      if (all || row[2] == "active") {
        rows.push_back(std::move(row));
      } else {
        ++hidden;
      }
    }
  }
  std::array<std::size_t, 6> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  std::string text;
  if (rows.size() > 1)
    for (const Row& row : rows) text += line_of(row, widths, paint, &row == &rows.front());
  if (rows.size() == 1) text = "There are no keys. `open-autoglm keys create NAME` makes one.\n";
  if (hidden > 0)
    text += paint(Style::kDim, fmt::format("{} revoked or expired: --all shows them", hidden)) + "\n";
  return text;
}

std::string key_facts(std::string_view key, const Paint& paint) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 15> kFacts = {
      {{"name", "name"},
       {"state", "state"},
       {"tail", "ends in"},
       {"tenant", "tenant"},
       {"group", "group"},
       {"models", "models"},
       {"priority", "priority"},
       {"limits", "limits"},
       {"budget", "budget"},
       {"labels", "labels"},
       {"created", "created"},
       {"expires", "expires"},
       {"previous_until", "old key until"},
       {"revoked", "revoked"},
       {"source", "from"}}};
  const json::value document = parsed(key);
  std::string text;
  for (const auto& [name, shown] : kFacts) {
    const std::string value = member(document, name);
    if (value.empty()) continue;
    text += paint(Style::kDim, fmt::format("{:<13}", shown)) + "  " +
            (name == "state" ? paint(style_of(value), value) : value) + "\n";
  }
  return text;
}

}  // namespace autoglm::app
