#pragma once

#include "base/result.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm::gateway {

/// The kind of a journal's record whose payload is a UsageRecord.
inline constexpr std::uint8_t kUsageRecordKind = 1;

/// How a call has ended.
enum class UsageOutcome : std::uint8_t {
  kCut = 0,       ///< the client has left, or the call has failed after an endpoint began to work for it
  kComplete = 1,  ///< the answer is whole
};

/// What one call has used.
struct UsageRecord {
  /// In bytes, of each text; longer ones are cut at a character's end.
  static constexpr std::size_t kLongestText = 256;

  std::chrono::sys_time<std::chrono::milliseconds> time{};  ///< when the call ended
  std::string request_id;
  std::string key;     ///< its name, never the key itself; empty: no keys are configured
  std::string tenant;  ///< of the key; empty: there is no key
  std::string group;
  std::string model;  ///< that has answered
  std::string asked;  ///< the model that was asked, when that is another one; else empty
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;  ///< of the prompt
  std::uint32_t completion_tokens = 0;
  std::uint64_t cost = 0;  ///< in 10^-9 of the currency, at the prices of that time
  UsageOutcome outcome = UsageOutcome::kCut;

  bool operator==(const UsageRecord&) const = default;
};

/// `text` as a record keeps it.
std::string_view recorded_text(std::string_view text);

/// The payload: a version, the numbers as LEB128, the texts with their lengths. A later field is appended,
/// and leaves the version as it is; a reader that does not know the field ignores it.
std::string to_bytes(const UsageRecord& record);
/// Errors: kDataLoss for what is no whole record; kUnimplemented for another version.
Result<UsageRecord> read_usage_record(std::string_view bytes);

}  // namespace autoglm::gateway
