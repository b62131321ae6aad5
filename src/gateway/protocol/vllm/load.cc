#include "gateway/protocol/vllm/load.h"

#include "base/json_string.h"
#include "gateway/protocol/json/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>

namespace autoglm::protocol::vllm {

namespace {

constexpr auto kMany = std::numeric_limits<std::int64_t>::max();

Result<void> read_prefixes(const JsonValue& value, PrefixSet& prefixes) {
  return value.for_each_item([&](const JsonValue& item) -> Result<void> {
    const auto text = item.as_string();
    if (!text) return fail(text.error());
    std::uint64_t digest = 0;
    const auto read = std::from_chars(text->data(), text->data() + text->size(), digest, 16);
    if (read.ec != std::errc() || read.ptr != text->data() + text->size())
      return fail(item.wrong("a number in base 16"));
    prefixes.insert(digest);
    return {};
  });
}

Result<void> add_count(const JsonValue& value, auto& sum) {
  const auto count = value.as_integer(0, kMany);
  if (!count) return fail(count.error());
  constexpr std::int64_t kMost = 1'000'000'000;  // whatever a server reports, sums of a few still fit
  sum = static_cast<std::remove_reference_t<decltype(sum)>>(
      std::min(kMost, static_cast<std::int64_t>(sum) + std::min(kMost, *count)));
  return {};
}

Result<void> read_model(const JsonValue& value, LoadReport& report, PrefixSet& prefixes) {
  return value.for_each_member([&](std::string_view key, const JsonValue& member) -> Result<void> {
    if (key == "max_running") return add_count(member, report.max_running);
    if (key == "max_waiting") return add_count(member, report.max_waiting);
    if (key == "kv_cache_usage") {
      const auto share = member.as_number(0, 1);
      if (!share) return fail(share.error());
      report.kv_usage = std::max(report.kv_usage, *share);
      return {};
    }
    if (key == "step_time_us") {
      const auto time = member.as_integer(0, kMany);
      if (!time) return fail(time.error());
      report.step_time = std::max(report.step_time, std::chrono::microseconds(*time));
      return {};
    }
    if (key == "running") return add_count(member, report.running);
    if (key == "waiting") return add_count(member, report.waiting);
    if (key == "prefill_backlog_tokens") return add_count(member, report.prefill_backlog_tokens);
    if (key == "prefixes") return read_prefixes(member, prefixes);
    return {};
  });
}

}  // namespace

std::string load_body(std::span<const ModelLoad> models) {
  std::uint64_t all = 0;
  for (const ModelLoad& model : models) all += std::uint64_t{model.report.running} + model.report.waiting;
  std::string body = fmt::format(R"({{"server_load":{},"models":[)", all);
  for (const ModelLoad& model : models) {
    const LoadReport& load = model.report;
    if (&model != &models.front()) body += ',';
    fmt::format_to(std::back_inserter(body),
                   R"({{"model":{},"running":{},"waiting":{},"max_running":{},"max_waiting":{},)"
                   R"("kv_cache_usage":{:.4f},"prefill_backlog_tokens":{},"step_time_us":{},"prefixes":[)",
                   json_string(model.model), load.running, load.waiting, load.max_running, load.max_waiting,
                   load.kv_usage, load.prefill_backlog_tokens, load.step_time.count());
    if (model.prefixes) {
      for (const char* comma = ""; const std::uint64_t digest : *model.prefixes) {
        fmt::format_to(std::back_inserter(body), R"({}"{:016x}")", comma, digest);
        comma = ",";
      }
    }
    body += "]}";
  }
  return body + "]}\n";
}

Result<ModelLoad> read_load(std::string_view body) {
  ModelLoad load;
  PrefixSet prefixes;
  auto read = visit_json_object(body, [&](std::string_view key, const JsonValue& value) -> Result<void> {
    if (key != "models") return {};
    return value.for_each_item(
        [&](const JsonValue& model) { return read_model(model, load.report, prefixes); });
  });
  if (!read) return fail(read.error());
  if (!prefixes.empty()) load.prefixes = std::make_shared<const PrefixSet>(std::move(prefixes));
  return load;
}

std::optional<std::string> load_header(std::string_view format, const LoadReport& report) {
  std::string wanted(format);
  std::ranges::transform(wanted, wanted.begin(), [](unsigned char c) { return std::toupper(c); });
  const auto report_as = [&](std::string_view before, std::string_view equals, std::string_view between) {
    std::string text;
    const auto add = [&](std::string_view name, auto value) {
      fmt::format_to(std::back_inserter(text), "{}{}{}{}{}", text.empty() ? "" : between, before, name,
                     equals, value);
    };
    add("kv_cache_usage_perc", report.kv_usage);
    add("num_requests_running", report.running);
    add("num_requests_waiting", report.waiting);
    add("prefill_backlog_tokens", report.prefill_backlog_tokens);
    return text;
  };
  if (wanted == "TEXT") return "TEXT " + report_as("named_metrics.", "=", ", ");
  if (wanted == "JSON")
    return fmt::format(R"(JSON {{"named_metrics": {{{}}}}})", report_as("\"", "\": ", ", "));
  return std::nullopt;
}

}  // namespace autoglm::protocol::vllm
