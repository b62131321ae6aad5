#pragma once

#include "base/clock.h"
#include "base/function_ref.h"
#include "base/result.h"
#include "journal/journal_writer.h"
#include "journal/record_format.h"
#include "journal/segments.h"
#include "journal/snapshot.h"
#include "journal/storage.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "runtime/task.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>

namespace autoglm::journal {

/// An append-only file of records, in segments, that outlives the process: each record that was confirmed is
/// read back exactly once, and all in the order in which they were written. A thread of its own writes what
/// has arrived from all loops in one write (docs/adr/0036-journal.md).
///
/// Thread-safe. It is destroyed after all its callers but before their loops; tasks that still wait are
/// answered then.
class Journal {
 public:
  struct Options {
    std::string path;  ///< a folder; it is made, readable by its owner only
    std::uint64_t segment_bytes = std::uint64_t{8} << 20U;  ///< a longer segment gives way to the next one
    std::optional<Duration> retention;  ///< segments whose last record is older are removed, some minutes
                                        ///< after the start; nothing: none is
    Sync sync = Sync::kPeriodic;
    OnFailure on_failure = OnFailure::kRefuse;
    std::size_t queue_bytes = std::size_t{16} << 20U;  ///< of records that are not yet written
    Duration stuck_after =
        std::chrono::seconds(5);  ///< a write that takes longer is one of a disk that does not work
    Duration retry_after = std::chrono::milliseconds(100);  ///< after a failure; doubles up to 5 s
  };

  /// Locks the folder, cuts a torn tail off the last segment, and starts the thread. What recovery dropped is
  /// logged, and stands in `recovered()`. Errors: kUnavailable when another process has the journal or the
  /// folder cannot be used; kUnimplemented when a newer program wrote it.
  static Result<std::unique_ptr<Journal>> open(const Options& options, observe::Logger& logger,
                                               observe::MetricRegistry& registry);
  /// The same over a storage that the journal takes over.
  static Result<std::unique_ptr<Journal>> open(const Options& options, std::unique_ptr<Storage> storage,
                                               observe::Logger& logger, observe::MetricRegistry& registry);
  ~Journal();  ///< writes and syncs what has been handed over; what the disk does not take is counted and
               ///< logged
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Visits the records from `begin` to before `end` that were written before this call, in order. Blocks: a
  /// segment at a time is read into memory. What is lost is logged, and listed in the result. Errors:
  /// kUnavailable, perhaps for a moment only: the folder cannot be listed, or a file cannot be read; records
  /// before it have been visited then.
  Result<Replayed> replay(FunctionRef<void(const Record&)> visit, std::uint64_t begin = 1,
                          std::uint64_t end = std::numeric_limits<std::uint64_t>::max()) const;

  /// Hands `record` over at once, whether or not the task is ever awaited; the payload is copied. The task
  /// ends when the record is written, and synced if Sync::kEachCommit; destroying it does not take the record
  /// back. Called and awaited on an event loop.
  ///
  /// While the disk does not work: with OnFailure::kRefuse kUnavailable, and the record is not in the journal
  /// unless the disk only took longer than `stuck_after`; with OnFailure::kServe success, and the record is
  /// written later, or counted as dropped when it exceeds `queue_bytes`. Errors besides: kInvalidArgument for
  /// a payload beyond `kMaxPayload`. An exception, of memory, leaves the record out of the journal.
  Task<Result<void>> append(const Record& record);

  /// Hands `record` over and waits for nothing, for destructors. The payload is copied. From any thread. The
  /// record is taken even beyond `queue_bytes`, unless the disk does not work at present or memory is out:
  /// then it is counted as dropped.
  void post(const Record& record) noexcept;

  /// Waits until all that was handed over is written, for `most` and no longer than the disk works. Whether
  /// it is. Blocks; from any thread.
  bool flush(Duration most) { return writer_->flush(most); }

  /// Whether records are written, or the reason why not, for refusing requests early. Costs two atomic loads
  /// while all is well.
  Result<void> healthy() const { return writer_->healthy(); }

  /// Replaces the snapshot `name`, or reads it; see write_snapshot and read_snapshot. They block; from any
  /// thread, one of them at a time.
  Result<void> save(const std::string& name, const Snapshot& snapshot) const {
    return write_snapshot(writer_->storage(), name, snapshot);
  }
  Result<Snapshot> saved(const std::string& name) const { return read_snapshot(writer_->storage(), name); }

  const JournalEnd& recovered() const { return recovered_; }
  /// The number that the next record gets.
  std::uint64_t next_sequence() const { return writer_->next_sequence(); }
  /// Records with a lower number survive a loss of power; with Sync::kNever nothing is known of that, and
  /// this is `next_sequence`.
  std::uint64_t durable_sequence() const { return writer_->durable_sequence(); }

 private:
  Journal(JournalEnd recovered, std::unique_ptr<JournalWriter> writer, observe::Logger& logger);

  const JournalEnd recovered_;
  const std::unique_ptr<JournalWriter> writer_;
  observe::Logger& logger_;
};

}  // namespace autoglm::journal
