#pragma once

#include "gateway/admission/usage/usage_record.h"
#include "observe/metrics/registry.h"

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace autoglm::gateway {

/// Counts usage by tenant for the metrics, since the process began: of the first `kMostTenants` tenants each
/// by its name, of all others together as "(others)". Thread-safe. The registry must outlive it.
class UsageMetrics {
 public:
  static constexpr std::size_t kMostTenants = 100;

  explicit UsageMetrics(observe::MetricRegistry& registry);

  void add(const UsageRecord& record);
  /// A call whose record was not written, because the journal refused it or memory was out.
  void count_unrecorded() { unrecorded_.add(); }

 private:
  struct Counters {
    observe::Counter &requests, &prompt, &cached, &completion;
  };
  Counters make(std::string_view tenant);
  const Counters& of(std::string_view tenant);

  observe::MetricRegistry& registry_;
  observe::Counter& unrecorded_;
  std::mutex mutex_;
  std::map<std::string, Counters, std::less<>> tenants_;
};

}  // namespace autoglm::gateway
