#include "gateway/front/http/access_log.h"

#include "gateway/front/http/access_line.h"
#include "observe/log/noted_line.h"

#include <array>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace autoglm::gateway {

namespace {

using Text = std::string_view AccessFacts::*;

constexpr auto kTexts = std::to_array<Text>(
    {&AccessFacts::request_id, &AccessFacts::method, &AccessFacts::path, &AccessFacts::peer,
     &AccessFacts::client_identity, &AccessFacts::key, &AccessFacts::tenant, &AccessFacts::model,
     &AccessFacts::endpoint, &AccessFacts::error});
static_assert(std::is_trivially_copyable_v<AccessFacts>, "its bytes are copied, then its texts");

/// The facts in a note: their views point into it.
AccessFacts facts_in(std::string_view note) {
  AccessFacts facts;
  std::memcpy(&facts, note.data(), sizeof facts);
  note.remove_prefix(sizeof facts);
  for (const Text text : kTexts) {
    const std::size_t size = (facts.*text).size();
    facts.*text = note.substr(0, size);
    note.remove_prefix(size);
  }
  return facts;
}

void lay_out(std::string_view note, observe::NotedLine& line) {
  const AccessFacts facts = facts_in(note);
  if (line.format() == observe::LogFormat::kText) {
    line.words(access_line(facts, Paint(line.colours())));
    return;
  }
  line.fields("request",
              {{"request_id", facts.request_id},
               {"method", facts.method},
               {"path", facts.path},
               {"protocol", facts.protocol},
               {"status", facts.status},
               {"duration_ms", 1000 * to_seconds(facts.took)},
               {"first_token_ms", 1000 * to_seconds(facts.first_token)},
               {"bytes", facts.bytes},
               {"peer", facts.peer},
               {"client_identity", facts.client_identity},
               {"key", facts.key},
               {"tenant", facts.tenant},
               {"model", facts.model},
               {"endpoint", facts.endpoint},
               {"attempts", facts.attempts},
               {"prompt_tokens", facts.usage.prompt_tokens},
               {"completion_tokens", facts.usage.completion_tokens},
               {"error", facts.error}},
              observe::TraceContext{.trace_id = facts.trace_id}.trace_id_hex());
}

}  // namespace

void AccessLog::write(const RequestRecord& record, Duration took) const noexcept {
  const int status = record.shown_status();
  // Probes and scrapes come every few seconds, and are not worth a line.
  const auto level = record.model.empty() && status < 400 ? observe::LogLevel::kDebug : level_;
  if (!log_.enabled(level)) return;
  const AccessFacts facts{
      .method = record.method,
      .path = record.path,
      .status = status,
      .took = took,
      .usage = record.usage,
      .model = record.model,
      .endpoint = record.endpoint,
      .attempts = record.attempts,
      .error = record.error,
      .request_id = record.id,
      .trace_id = record.span.trace_id,
      .protocol = record.protocol,
      .peer = record.peer,
      .client_identity = record.client_identity,
      .key = record.caller ? std::string_view(record.caller->key) : std::string_view(),
      .tenant = record.caller ? std::string_view(record.caller->tenant) : std::string_view(),
      .first_token = record.first_token,
      .bytes = record.bytes};
  std::array<std::string_view, 1 + kTexts.size()> parts;
  parts[0] = {reinterpret_cast<const char*>(&facts), sizeof facts};
  for (std::size_t i = 0; i < kTexts.size(); ++i) parts[i + 1] = facts.*kTexts[i];
  log_.note(level, lay_out, parts);
}

}  // namespace autoglm::gateway
