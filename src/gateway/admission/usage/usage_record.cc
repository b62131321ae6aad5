#include "gateway/admission/usage/usage_record.h"

#include "gateway/admission/record_fields.h"

#include <utility>

namespace autoglm::gateway {

namespace {

constexpr char kVersion = 1;

}  // namespace

std::string_view recorded_text(std::string_view text) {
  if (text.size() <= UsageRecord::kLongestText) return text;
  std::size_t size = UsageRecord::kLongestText;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) --size;
  return text.substr(0, size);
}

std::string to_bytes(const UsageRecord& record) {
  std::string out(1, kVersion);
  put_number(out, static_cast<std::uint64_t>(record.time.time_since_epoch().count()));
  put_number(out, static_cast<std::uint64_t>(record.outcome));
  put_number(out, record.prompt_tokens);
  put_number(out, record.cached_tokens);
  put_number(out, record.completion_tokens);
  put_number(out, record.cost);
  for (const std::string* text :
       {&record.request_id, &record.key, &record.tenant, &record.group, &record.model})
    put_text(out, recorded_text(*text));
  put_text(out, recorded_text(record.asked));
  return out;
}

Result<UsageRecord> read_usage_record(std::string_view bytes) {
  if (!bytes.empty() && bytes.front() != kVersion)
    return fail(ErrorCode::kUnimplemented, "a newer program wrote this record of usage");
  FieldReader reader(bytes.empty() ? bytes : bytes.substr(1));
  UsageRecord record;
  record.time = reader.time();
  record.outcome = static_cast<UsageOutcome>(reader.number(1));
  record.prompt_tokens = reader.count();
  record.cached_tokens = reader.count();
  record.completion_tokens = reader.count();
  record.cost = reader.number();
  for (std::string* text : {&record.request_id, &record.key, &record.tenant, &record.group, &record.model})
    *text = reader.text(UsageRecord::kLongestText);
  if (!reader.at_end()) record.asked = reader.text(UsageRecord::kLongestText);  // not in the first records
  if (!reader.whole()) return fail(ErrorCode::kDataLoss, "a record of usage is not whole");
  return record;
}

}  // namespace autoglm::gateway
