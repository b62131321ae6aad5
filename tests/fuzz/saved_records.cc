// What admission keeps on disk, after any damage that a checksum has missed: a record of usage, and what is
// used of the limits. What is read means the same when it is written and read again, and can be restored.
#include "gateway/admission/limits/limit_recovery.h"
#include "gateway/admission/limits/saved_limits.h"
#include "gateway/admission/usage/usage_record.h"

#include "fuzzing.h"

#include <string>
#include <vector>

namespace {

using namespace autoglm;
using fuzzing::expect;

std::optional<gateway::UsageRecord> read_record(std::string_view bytes) {
  const auto once = gateway::read_usage_record(bytes);
  if (!once) return std::nullopt;
  expect(once->key.size() <= 3 * gateway::UsageRecord::kLongestText, "texts are bounded");
  // Bytes that are no UTF-8 have become characters of three bytes, and a text may be too long by them.
  const auto twice = gateway::read_usage_record(gateway::to_bytes(*once));
  expect(twice.has_value() && twice->time == once->time && twice->cost == once->cost &&
             twice->completion_tokens == once->completion_tokens && twice->outcome == once->outcome,
         "what was read can be written");
  expect(gateway::read_usage_record(gateway::to_bytes(*twice)) == *twice, "and is the same from then on");
  return *twice;
}

void restore(const gateway::SavedLimits& saved, const std::optional<gateway::UsageRecord>& record) {
  observe::MetricRegistry metrics;
  gateway::LimitCheck check(metrics);
  const auto now = std::chrono::steady_clock::now();
  check.apply({{.name = "a", .tokens = "1000/min"},
               {.name = "b", .per = gateway::LimitScope::kGlobal, .requests = "3/day", .burst = 7},
               {.name = "c", .tokens = "9/s", .algorithm = gateway::RateAlgorithm::kSlidingWindow}},
              now);
  gateway::LimitRecovery recovery(check, [](std::string_view) { return nullptr; });
  recovery.load(saved);
  if (record) recovery.charge(*record);
  recovery.finish(saved.time, now);
  const gateway::SavedLimits again = gateway::save_limits(check, saved.time, now);
  expect(gateway::read_saved_limits(gateway::to_bytes(again)).has_value(), "what was restored can be saved");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = fuzzing::text_of(data, size);
  const auto record = read_record(bytes);
  const auto saved = gateway::read_saved_limits(bytes);
  if (!saved) return 0;
  const auto again = gateway::read_saved_limits(gateway::to_bytes(*saved));
  expect(!again || *again == *saved, "what was read means the same when it is written");
  restore(*saved, record);
  return 0;
}
