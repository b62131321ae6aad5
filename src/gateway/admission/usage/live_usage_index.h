#pragma once

#include "gateway/admission/usage/usage_index.h"
#include "observe/metrics/registry.h"
#include "runtime/blocking_pool.h"
#include "runtime/task.h"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace autoglm::gateway {

/// Keeps a UsageIndex up to date by a thread of its own, and asks it on another one: no request waits for
/// either. Thread-safe. Destroyed before the loops that ask, and before the journal.
class LiveUsageIndex {
 public:
  static constexpr Duration kEvery = std::chrono::seconds(5);

  LiveUsageIndex(UsageIndex::Options options, const journal::Journal& journal, observe::Logger& logger,
                 observe::MetricRegistry& metrics, Duration every = kEvery);
  ~LiveUsageIndex();
  LiveUsageIndex(const LiveUsageIndex&) = delete;
  LiveUsageIndex& operator=(const LiveUsageIndex&) = delete;

  /// See UsageIndex::query. It waits for an update that is under way. Errors besides: kResourceExhausted when
  /// many ask.
  Task<Result<std::vector<UsageRow>>> query(UsageQuery query);

 private:
  void run();
  bool update(bool failing);

  const Duration every_;
  observe::Logger& logger_;
  observe::Counter& failures_;
  std::mutex index_mutex_;  // held while the file is read or written
  UsageIndex index_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
  BlockingPool asking_;  // its jobs use the above
};

}  // namespace autoglm::gateway
