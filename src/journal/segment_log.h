#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "journal/segments.h"
#include "journal/storage.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace autoglm::journal {

/// The end of a journal, where records are written: the last segment, and how it gives way to the next one.
/// Calls block. Used by one thread at a time.
///
/// A write that fails leaves nothing behind: the segment is cut back, or given up, and the next segment,
/// which begins with the same number, makes the rest of it void (see `segment_name`).
class SegmentLog {
 public:
  struct Options {
    std::uint64_t segment_bytes = std::uint64_t{8} << 20U;  ///< a longer one gives way before the next write
    std::optional<Duration> retention;                      ///< older segments are removed; nothing: none is
    bool syncs = true;  ///< false: nothing waits for the disk, not even a full segment
  };

  /// Goes on at `end`. `storage` outlives it. Errors: the last segment cannot be opened.
  static Result<std::unique_ptr<SegmentLog>> open(Storage& storage, Options options, const JournalEnd& end);

  /// Gives the next numbers to `frames` (see `append_frame`), and writes all of them or none; if `durable`,
  /// they also survive a loss of power.
  Result<void> write(std::span<char> frames, bool durable);
  /// Makes what was written survive a loss of power. After an error the system may have forgotten what it had
  /// taken, so writing goes on in another segment.
  Result<void> sync();
  /// Whether a write would succeed at present.
  Result<void> probe();
  /// Ends a segment whose first record has become old, and removes segments whose last record is older than
  /// the retention, never the one that is written to. Returns how many were removed.
  Result<std::size_t> expire(std::chrono::system_clock::time_point now);

  /// The number of the next record.
  std::uint64_t next_sequence() const { return next_sequence_; }
  /// How many segments were begun so far.
  std::uint64_t segments_begun() const { return segments_begun_; }

 private:
  SegmentLog(Storage& storage, Options options, std::uint64_t next_sequence)
      : storage_(storage), options_(options), next_sequence_(next_sequence) {}
  Result<void> ensure_room();
  Result<void> begin_segment();
  Result<void> end_segment();
  Result<void> write_all(std::string_view bytes);
  void cut_back();

  Storage& storage_;
  const Options options_;
  std::unique_ptr<StorageFile> file_;  // null: the next write begins a segment
  SegmentHead head_;
  std::uint64_t size_ = 0;  // up to the last whole record's end
  std::uint64_t next_sequence_;
  std::uint64_t segments_begun_ = 0;
  bool synced_ = true;
};

}  // namespace autoglm::journal
