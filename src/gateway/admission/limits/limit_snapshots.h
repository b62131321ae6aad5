#pragma once

#include "gateway/admission/limits/limit_recovery.h"
#include "journal/journal.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace autoglm::gateway {

/// Keeps what is used of the limits over a restart: a thread saves it beside the journal now and then, and
/// `restore` brings it back. What was used after the last save is in the journal's records. Saving takes a
/// hundredth of a CPU, and more only when it takes longer than 0.6 s: it comes once a minute at least. Used
/// by the control thread; all that it is given outlives it.
class LimitSnapshots {
 public:
  struct Options {
    Duration every = std::chrono::seconds(10);
    WallClock wall = std::chrono::system_clock::now;
  };

  LimitSnapshots(Options options, LimitCheck& check, journal::Journal& journal, observe::Logger& logger,
                 observe::MetricRegistry& metrics);
  ~LimitSnapshots() { end_thread(); }
  LimitSnapshots(const LimitSnapshots&) = delete;
  LimitSnapshots& operator=(const LimitSnapshots&) = delete;

  /// Reads what was saved, before `see` is called for the records of usage. A state that cannot be read is
  /// logged; then the records alone count. Blocks. Once, with `finish` after all records.
  void begin_restore(LimitRecovery::LimitsOf limits_of);
  void see(const UsageRecord& record, std::uint64_t sequence) {
    if (sequence >= next_sequence_) recovery_->charge(record);
  }
  /// Hands the limits what was found, and starts the thread.
  void finish_restore();

  /// Saves for the last time, when the journal has written what it was handed or two seconds have passed.
  /// After the last call has ended, while the check is still there. Blocks.
  void close();
  /// Saves now. Errors: the disk's. Not beside `close` or the thread.
  Result<void> save() const;

 private:
  void run();
  bool end_thread();
  void report(const Result<void>& saved);

  const Options options_;
  LimitCheck& check_;
  journal::Journal& journal_;
  observe::Logger& logger_;
  observe::Counter& failures_;
  std::optional<LimitRecovery> recovery_;
  std::uint64_t next_sequence_ = 1;  // of what was saved
  bool failing_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool closed_ = false;
  std::thread thread_;
};

}  // namespace autoglm::gateway
