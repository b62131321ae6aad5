#include "gateway/admission/limits/saved_limits.h"

#include "gateway/admission/record_fields.h"

#include <algorithm>
#include <limits>

namespace autoglm::gateway {

namespace {

constexpr char kSavedLimitsVersion = 1;
constexpr auto kMostTime = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

/// Zeros at the end are left out: a bucket has two numbers of the sixteen.
void put_rate(std::string& out, const SavedRate& rate) {
  put_number(out, static_cast<std::uint64_t>(rate.algorithm));
  put_number(out, static_cast<std::uint64_t>(rate.period.count()));
  put_number(out, static_cast<std::uint64_t>(rate.into.count()));
  std::size_t used = rate.used.size();
  while (used > 0 && rate.used[used - 1] == 0) --used;
  put_number(out, used);
  for (std::size_t i = 0; i < used; ++i) put_number(out, rate.used[i]);
}

SavedRate read_rate(FieldReader& reader) {
  SavedRate rate;
  rate.algorithm =
      static_cast<RateAlgorithm>(reader.number(static_cast<std::uint64_t>(RateAlgorithm::kSlidingWindow)));
  rate.period = Duration(static_cast<Duration::rep>(reader.number(kMostTime)));
  rate.into = Duration(static_cast<Duration::rep>(reader.number(kMostTime)));
  const std::uint64_t used = reader.number(rate.used.size());
  for (std::size_t i = 0; i < used; ++i) rate.used[i] = reader.number();
  return rate;
}

}  // namespace

std::string to_bytes(const SavedLimits& saved) {
  std::string out(1, kSavedLimitsVersion);
  put_number(out,
             static_cast<std::uint64_t>(std::max<std::int64_t>(saved.time.time_since_epoch().count(), 0)));
  put_number(out, saved.limits.size());
  for (const SavedLimit& limit : saved.limits) {
    put_text(out, limit.name);
    put_number(out, static_cast<std::uint64_t>(limit.per));
    put_number(out, limit.counts_tokens ? 1 : 0);
    put_number(out, limit.subjects.size());
    for (const auto& [subject, rate] : limit.subjects) {
      put_text(out, subject);
      put_rate(out, rate);
    }
  }
  return out;
}

Result<SavedLimits> read_saved_limits(std::string_view bytes) {
  if (!bytes.empty() && bytes.front() != kSavedLimitsVersion)
    return fail(ErrorCode::kUnimplemented, "a newer program wrote this state of the limits");
  FieldReader reader(bytes.empty() ? bytes : bytes.substr(1));
  SavedLimits saved;
  saved.time = reader.time();
  // Each number may be wrong: nothing is reserved by it.
  for (std::uint64_t limits = reader.number(); limits > 0 && reader.whole(); --limits) {
    SavedLimit& limit = saved.limits.emplace_back();
    limit.name = reader.text(SavedLimits::kLongestName);
    limit.per = static_cast<LimitScope>(reader.number(static_cast<std::uint64_t>(LimitScope::kGlobal)));
    limit.counts_tokens = reader.number(1) == 1;
    for (std::uint64_t subjects = reader.number(); subjects > 0 && reader.whole(); --subjects) {
      std::string subject = reader.text(SavedLimits::kLongestName);
      limit.subjects.emplace_back(std::move(subject), read_rate(reader));
    }
  }
  if (!reader.whole()) return fail(ErrorCode::kDataLoss, "the state of the limits is not whole");
  return saved;
}

}  // namespace autoglm::gateway
