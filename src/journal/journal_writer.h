#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "journal/record_batch.h"
#include "journal/segment_log.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace autoglm::journal {

/// When records survive a loss of power. They survive the end of this process as soon as they are written.
enum class Sync : std::uint8_t {
  kEachCommit,  ///< before an append is confirmed
  kPeriodic,    ///< within a second
  kNever,       ///< when the system chooses
};

/// What becomes of requests while the disk takes no records.
enum class OnFailure : std::uint8_t {
  kRefuse,  ///< an append fails
  kServe,   ///< an append succeeds; its record is kept in memory until the disk takes it
};

/// The journal's thread: takes records from all loops and writes what has arrived in one write. Thread-safe.
/// Destroyed after all callers, and before their loops.
class JournalWriter {
 public:
  struct Options {
    std::string path;  ///< for messages
    Sync sync = Sync::kPeriodic;
    OnFailure on_failure = OnFailure::kRefuse;
    std::size_t queue_bytes = std::size_t{16} << 20U;
    Duration stuck_after = std::chrono::seconds(5);
    Duration retry_after = std::chrono::milliseconds(100);
  };

  JournalWriter(Options options, std::unique_ptr<Storage> storage, std::unique_ptr<SegmentLog> log,
                observe::Logger& logger, observe::MetricRegistry& registry);
  ~JournalWriter();  ///< writes what waits; what cannot be written is counted and logged
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  /// Takes a record. True: `note` will be posted. False: the caller goes on without it, since requests are
  /// served although the disk does not work. Errors: kUnavailable while records are refused.
  Result<bool> add(const Record& record, std::shared_ptr<WrittenNote> note);
  /// Takes a record for which no task waits. Beyond the bound it is dropped only while the disk does not
  /// work.
  void add(const Record& record) noexcept;
  /// See Journal::flush.
  bool flush(Duration most);
  /// Counts a record that could not be taken.
  void count_dropped(std::uint64_t records = 1) noexcept;

  Result<void> healthy() const;
  OnFailure on_failure() const { return options_.on_failure; }
  Duration stuck_after() const { return options_.stuck_after; }
  /// For a task that has waited for `stuck_after`.
  std::shared_ptr<const Error> stuck_error() const { return stuck_error_; }
  Storage& storage() const { return *storage_; }
  /// The number that the next record gets.
  std::uint64_t next_sequence() const { return next_sequence_.load(std::memory_order_acquire); }
  /// See Journal::durable_sequence.
  std::uint64_t durable_sequence() const {
    return options_.sync == Sync::kPeriodic ? synced_sequence_.load(std::memory_order_acquire)
                                            : next_sequence();
  }

 private:
  using SharedError = std::shared_ptr<const Error>;
  struct Metrics;
  struct Chain {
    EventLoop* loop;
    std::shared_ptr<WrittenNote> head;
    WrittenNote* tail;
  };

  Error refusal(std::string why) const;
  bool exceeds_bound(std::size_t bytes) const;
  bool stuck() const;
  void run();
  void work(bool last);
  void commit(bool last);
  Result<void> write_backlog();
  void succeeded();
  void failed(const SharedError& error) noexcept;
  void give_up_backlog() noexcept;
  void answer(std::size_t begin, std::size_t end, const SharedError& error) noexcept;
  void sync(bool now);
  void expire();
  void report_dropped(bool now);
  MonotonicTime due() const;

  const Options options_;
  const std::unique_ptr<Storage> storage_;
  const std::unique_ptr<SegmentLog> log_;
  observe::Logger& logger_;
  const std::unique_ptr<Metrics> metrics_;
  const SharedError stuck_error_, full_error_, memory_error_;

  mutable std::mutex mutex_;
  std::condition_variable wake_, worked_;
  RecordBatch queue_;
  SharedError failure_;  // null while writing works
  bool asleep_ = false;  // until there is a record
  bool closed_ = false;
  std::atomic<bool> failing_{false};
  std::atomic<std::size_t> held_bytes_{0};  // of queue_ and backlog_
  std::atomic<MonotonicTime> busy_since_{MonotonicTime::max()};
  std::atomic<std::uint64_t> next_sequence_;
  std::atomic<std::uint64_t> synced_sequence_{1};
  std::atomic<std::uint64_t> dropped_{0};

  // Of the journal's thread.
  RecordBatch backlog_;  // taken, not yet written
  std::vector<Chain> chains_;
  Duration backoff_{};
  MonotonicTime retry_at_, sync_at_ = MonotonicTime::max(), expire_at_, report_at_;
  std::uint64_t reported_dropped_ = 0, segments_begun_ = 0;
  bool has_expired_ = false;  // the first look at what is old has been
  std::shared_ptr<void> queue_gauge_;
  std::thread thread_;
};

}  // namespace autoglm::journal
