#include "gateway/admission/usage/usage_record.h"

#include "base/utf8.h"

#include <limits>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr char kVersion = 1;

void put_number(std::string& out, std::uint64_t value) {
  for (; value >= 0x80U; value >>= 7U) out += static_cast<char>((value & 0x7FU) | 0x80U);
  out += static_cast<char>(value);
}

void put_text(std::string& out, std::string_view text) {
  text = recorded_text(text);
  put_number(out, text.size());
  out += text;
}

/// Reads fields from the front of bytes. After the first mistake every field is empty.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t number(std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      const std::uint64_t bits = byte & 0x7FU;
      if ((bits << shift) >> shift != bits) break;
      value |= bits << shift;
      if (byte < 0x80U) return value <= most ? value : wrong();
    }
    return wrong();
  }
  std::uint32_t count() {
    return static_cast<std::uint32_t>(number(std::numeric_limits<std::uint32_t>::max()));
  }
  std::string text() {
    const std::uint64_t size = number(UsageRecord::kLongestText);
    std::string out;
    if (size > rest_.size()) {
      wrong();
      return out;
    }
    append_valid_utf8(out, rest_.substr(0, size));
    rest_.remove_prefix(size);
    return out;
  }
  bool whole() const { return whole_; }

 private:
  std::uint64_t wrong() {
    whole_ = false;
    rest_ = {};
    return 0;
  }

  std::string_view rest_;
  bool whole_ = true;
};

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
    put_text(out, *text);
  return out;
}

Result<UsageRecord> read_usage_record(std::string_view bytes) {
  if (!bytes.empty() && bytes.front() != kVersion)
    return fail(ErrorCode::kUnimplemented, "a newer program wrote this record of usage");
  FieldReader reader(bytes.empty() ? bytes : bytes.substr(1));
  UsageRecord record;
  record.time = decltype(record.time)(std::chrono::milliseconds(
      static_cast<std::int64_t>(reader.number(std::numeric_limits<std::int64_t>::max()))));
  record.outcome = static_cast<UsageOutcome>(reader.number(1));
  record.prompt_tokens = reader.count();
  record.cached_tokens = reader.count();
  record.completion_tokens = reader.count();
  record.cost = reader.number();
  for (std::string* text : {&record.request_id, &record.key, &record.tenant, &record.group, &record.model})
    *text = reader.text();
  if (!reader.whole()) return fail(ErrorCode::kDataLoss, "a record of usage is not whole");
  return record;
}

}  // namespace autoglm::gateway
