#include "admin/usage_routes.h"

#include "base/utf8.h"
#include "gateway/admission/usage/price.h"
#include "gateway/protocol/json/object_writer.h"
#include "http/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

namespace autoglm::admin {

namespace {

using gateway::LiveUsageIndex;
using gateway::RequestRecord;
using gateway::Route;
using gateway::send_error;
using gateway::UsageQuery;
using gateway::UsageRow;
using gateway::UsageTotals;

/// What a request asks for.
struct Wanted {
  UsageQuery query;
  bool csv = false;
};

/// The part of `text` up to `separator`; `text` keeps what follows it.
std::string_view take_part(std::string_view& text, char separator) {
  const std::string_view part = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return part;
}

Error wrong(std::string_view parameter, std::string_view value, std::string_view expected) {
  Error error = invalid_field(std::string(parameter), fmt::format("{} is \"{}\"; it must be {}", parameter,
                                                                  excerpt(value, 64), expected));
  error.origin = Origin::kClient;
  return error;
}

Result<void> read_by(std::string_view value, UsageQuery& query) {
  query.by_day = query.by_hour = false;
  for (std::string_view rest = value; !rest.empty();) {
    const std::string_view name = take_part(rest, ',');
    if (name == "day") {
      query.by_day = true;
    } else if (name == "hour") {
      query.by_hour = true;
    } else if (name == "key") {
      query.by_key = true;
    } else if (name == "tenant") {
      query.by_tenant = true;
    } else if (name == "model") {
      query.by_model = true;
    } else {
      return fail(
          wrong("by", value, "names out of day, hour, key, tenant and model, with commas between them"));
    }
  }
  return {};
}

Result<void> read_day(std::string_view parameter, std::string_view value, gateway::Day& day) {
  const auto read = gateway::parse_day(value);
  if (!read) return fail(wrong(parameter, value, "a day of UTC such as 2026-11-30"));
  day = *read;
  return {};
}

Result<void> read_parameter(std::string_view name, std::string_view value, Wanted& wanted) {
  if (name == "by") return read_by(value, wanted.query);
  if (name == "from") return read_day(name, value, wanted.query.from);
  if (name == "to") return read_day(name, value, wanted.query.to);
  for (const auto& [filter, kept] : {std::pair(std::string_view("key"), &wanted.query.key),
                                     {"tenant", &wanted.query.tenant},
                                     {"model", &wanted.query.model}}) {
    if (name != filter) continue;
    *kept = std::string(value);
    return {};
  }
  if (name != "format")
    return fail(wrong("the parameter", name, "one of by, from, to, key, tenant, model and format"));
  if (value != "json" && value != "csv") return fail(wrong(name, value, "json or csv"));
  wanted.csv = value == "csv";
  return {};
}

/// Among the types of `accept`, whether text/csv is there and JSON is not.
bool asks_for_csv(std::string_view accept) {
  bool csv = false;
  while (!accept.empty()) {
    std::string_view rest = take_part(accept, ',');
    std::string_view type = take_part(rest, ';');
    while (type.starts_with(' ')) type.remove_prefix(1);
    while (type.ends_with(' ')) type.remove_suffix(1);
    if (http::equals_ignoring_case(type, "application/json")) return false;
    csv |= http::equals_ignoring_case(type, "text/csv");
  }
  return csv;
}

Result<Wanted> read_wanted(const http::Request& request) {
  Wanted wanted{.query = {.by_day = true}, .csv = asks_for_csv(request.headers.find("accept").value_or(""))};
  std::set<std::string> seen;
  for (std::string_view rest = request.query; !rest.empty();) {
    std::string_view raw = take_part(rest, '&');
    if (raw.empty()) continue;
    const auto name = http::percent_decode(take_part(raw, '='));
    const auto value = http::percent_decode(raw);
    if (!name || !value) return fail(wrong("the address", request.query, "percent-encoded"));
    if (!seen.insert(*name).second) return fail(wrong("the parameter", *name, "there once"));
    if (auto read = read_parameter(*name, *value, wanted); !read) return fail(std::move(read).error());
  }
  if (wanted.query.from > wanted.query.to)
    return fail(wrong("from", gateway::to_string(wanted.query.from), "no later than `to`"));
  return wanted;
}

/// "2026-11-30T15:00:00Z".
std::string shown(gateway::Hour hour) {
  const gateway::Day day = gateway::day_of(hour);
  return fmt::format("{}T{:02}:00:00Z", gateway::to_string(day), (hour - day).count());
}

std::string json(const UsageQuery& query, const std::vector<UsageRow>& rows, std::string_view currency) {
  std::string body = "{\"currency\":";
  append_json_string(body, currency);
  body += ",\"usage\":[";
  for (const UsageRow& row : rows) {
    if (&row != &rows.front()) body += ',';
    protocol::JsonObjectWriter object(body);
    if (query.by_day) object.text("day", gateway::to_string(row.day));
    if (query.by_hour) object.text("hour", shown(row.hour));
    if (query.by_key) object.text("key", row.key);
    if (query.by_tenant) object.text("tenant", row.tenant);
    if (query.by_model) object.text("model", row.model);
    object.number("requests", row.sums.requests);
    object.number("cut", row.sums.cut);
    object.number("prompt_tokens", row.sums.prompt_tokens);
    object.number("cached_tokens", row.sums.cached_tokens);
    object.number("completion_tokens", row.sums.completion_tokens);
    object.json("cost", gateway::decimal(row.sums.cost));
    object.end();
  }
  return body + "]}\n";
}

/// A field as RFC 4180 has it.
std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char letter : text) quoted.append(letter == '"' ? 2 : 1, letter);
  return quoted + '"';
}

std::string csv(const UsageQuery& query, const std::vector<UsageRow>& rows, std::string_view currency) {
  std::string body;
  if (query.by_day) body += "day,";
  if (query.by_hour) body += "hour,";
  if (query.by_key) body += "key,";
  if (query.by_tenant) body += "tenant,";
  if (query.by_model) body += "model,";
  body += "requests,cut,prompt_tokens,cached_tokens,completion_tokens,cost,currency\r\n";
  for (const UsageRow& row : rows) {
    if (query.by_day) body += gateway::to_string(row.day) + ',';
    if (query.by_hour) body += shown(row.hour) + ',';
    if (query.by_key) body += csv_field(row.key) + ',';
    if (query.by_tenant) body += csv_field(row.tenant) + ',';
    if (query.by_model) body += csv_field(row.model) + ',';
    body += fmt::format("{},{},{},{},{},{},{}\r\n", row.sums.requests, row.sums.cut, row.sums.prompt_tokens,
                        row.sums.cached_tokens, row.sums.completion_tokens, gateway::decimal(row.sums.cost),
                        csv_field(currency));
  }
  return body;
}

Task<Result<std::vector<UsageRow>>> ask(const UsageTotals& totals, LiveUsageIndex* index,
                                        const UsageQuery& query) {
  if (index != nullptr) {
    auto rows = co_await index->query(query);
    // The totals stand in for an index that does not work, and not for one that is busy: they have less.
    const bool broken =
        !rows && (rows.error().code == ErrorCode::kUnavailable || rows.error().code == ErrorCode::kDataLoss);
    if (!broken || query.by_hour) co_return rows;
  }
  if (query.by_hour)
    co_return fail(
        invalid_field("by", "hours are kept with a `journal` only; leave `hour` out, or configure one"));
  co_return totals.query(query);
}

Task<void> show_usage(const UsageTotals& totals, LiveUsageIndex* index, std::string currency,
                      const http::Request& request, http::ResponseWriter& response, RequestRecord& record) {
  const auto wanted = read_wanted(request);
  if (!wanted) {
    co_await send_error(response, wanted.error(), record);
    co_return;
  }
  const auto asked = co_await ask(totals, index, wanted->query);
  if (!asked) {
    co_await send_error(response, asked.error(), record);
    co_return;
  }
  const std::vector<UsageRow>& rows = *asked;
  record.status = 200;
  record.complete = true;
  if (wanted->csv) {
    co_await response.send(200, "text/csv; charset=utf-8", csv(wanted->query, rows, currency));
  } else {
    co_await response.send(200, "application/json", json(wanted->query, rows, currency));
  }
}

}  // namespace

std::vector<Route> usage_routes(const UsageTotals& totals, std::function<std::string()> currency,
                                LiveUsageIndex* index) {
  return {{"GET", "/usage", "",
           [&totals, index, currency = std::move(currency)](
               http::Request& request, http::ResponseWriter& response, RequestRecord& record) {
             return show_usage(totals, index, currency(), request, response, record);
           }}};
}

}  // namespace autoglm::admin
