#pragma once

#include "base/result.h"
#include "gateway/admission/limits/limit_config.h"
#include "gateway/admission/rate/rate_state.h"
#include "gateway/admission/usage/usage_day.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// What is used of one limit, by subject.
struct SavedLimit {
  std::string name;
  LimitScope per = LimitScope::kKey;
  bool counts_tokens = false;
  std::vector<std::pair<std::string, SavedRate>> subjects;

  bool operator==(const SavedLimit&) const = default;
};

/// What is used of all limits that are rates, at one moment.
struct SavedLimits {
  /// In bytes, of each name; a subject with a longer one is not saved.
  static constexpr std::size_t kLongestName = 4096;

  std::chrono::sys_time<std::chrono::milliseconds> time{};
  std::vector<SavedLimit> limits;

  bool operator==(const SavedLimits&) const = default;
};

/// A version, then numbers and texts; see record_fields.h.
std::string to_bytes(const SavedLimits& saved);
/// Errors: kDataLoss for what is no whole state; kUnimplemented for another version.
Result<SavedLimits> read_saved_limits(std::string_view bytes);

}  // namespace autoglm::gateway
