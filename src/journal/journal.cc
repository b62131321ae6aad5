#include "journal/journal.h"

#include "journal/posix_storage.h"
#include "journal/segment_log.h"
#include "runtime/deadline.h"
#include "runtime/race.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace autoglm::journal {

namespace {

// A disk that is full of damage must not fill the log.
constexpr std::size_t kLoggedLosses = 20;

Task<Result<void>> ended(Result<void> result) { co_return result; }

/// The journal may be gone when this ends: it uses what it shares.
Task<Result<void>> written(std::shared_ptr<WrittenNote> note, Deadline deadline,
                           std::shared_ptr<const Error> if_late) {
  const auto done = co_await with_deadline(deadline, raised(note->written), "writing the journal");
  const auto& error = done ? note->error : if_late;
  if (error) co_return fail(*error);
  co_return Result<void>();
}

void log_recovery(observe::Logger& logger, const std::string& path, const JournalEnd& end) {
  if (end.dropped_bytes > 0)
    logger.warning("the journal's end was torn: bytes behind the last whole record are dropped",
                   {{"path", path}, {"bytes", end.dropped_bytes}, {"next_sequence", end.next_sequence}});
  for (const std::string& name : end.damaged)
    logger.error("a segment of the journal is damaged: its records are lost; it is kept under another name",
                 {{"path", path}, {"file", name}});
}

}  // namespace

Journal::Journal(JournalEnd recovered, std::unique_ptr<JournalWriter> writer, observe::Logger& logger)
    : recovered_(std::move(recovered)), writer_(std::move(writer)), logger_(logger) {}

Journal::~Journal() = default;

Result<std::unique_ptr<Journal>> Journal::open(const Options& options, observe::Logger& logger,
                                               observe::MetricRegistry& registry) {
  auto storage = PosixStorage::open(options.path);
  if (!storage) return fail(storage.error());
  return open(options, std::move(*storage), logger, registry);
}

Result<std::unique_ptr<Journal>> Journal::open(const Options& options, std::unique_ptr<Storage> storage,
                                               observe::Logger& logger, observe::MetricRegistry& registry) {
  auto end = recover_end(*storage);
  if (!end) return fail(end.error());
  log_recovery(logger, options.path, *end);
  auto log = SegmentLog::open(*storage,
                              {.segment_bytes = options.segment_bytes,
                               .retention = options.retention,
                               .syncs = options.sync != Sync::kNever},
                              *end);
  if (!log) return fail(log.error());
  try {
    auto writer = std::make_unique<JournalWriter>(JournalWriter::Options{.path = options.path,
                                                                         .sync = options.sync,
                                                                         .on_failure = options.on_failure,
                                                                         .queue_bytes = options.queue_bytes,
                                                                         .stuck_after = options.stuck_after,
                                                                         .retry_after = options.retry_after},
                                                  std::move(storage), std::move(*log), logger, registry);
    return std::unique_ptr<Journal>(new Journal(std::move(*end), std::move(writer), logger));
  } catch (const std::exception& exception) {  // no thread available
    return fail(ErrorCode::kUnavailable,
                std::string("cannot start the journal's thread: ") + exception.what());
  }
}

Result<Replayed> Journal::replay(FunctionRef<void(const Record&)> visit, std::uint64_t begin,
                                 std::uint64_t end) const {
  auto replayed = replay_segments(writer_->storage(), begin, std::min(end, next_sequence()), visit);
  if (!replayed) return replayed;
  for (std::size_t i = 0; i < replayed->losses.size() && i < kLoggedLosses; ++i) {
    const Loss& loss = replayed->losses[i];
    logger_.error("records of the journal are lost: " + loss.reason,
                  {{"segment", loss.segment},
                   {"first_sequence", loss.first_sequence},
                   {"last_sequence", loss.end_sequence - 1}});
  }
  if (replayed->losses.size() > kLoggedLosses)
    logger_.error("more records of the journal are lost",
                  {{"places", replayed->losses.size() - kLoggedLosses}});
  return replayed;
}

Task<Result<void>> Journal::append(const Record& record) {
  if (record.payload.size() > kMaxPayload)
    return ended(fail(ErrorCode::kInvalidArgument, "a record of the journal has at most " +
                                                       std::to_string(kMaxPayload) + " bytes of payload"));
  // Nothing below the hand-over needs memory: an exception says that the record is not in the journal.
  auto note = std::make_shared<WrittenNote>(EventLoop::current());
  const bool refuses = writer_->on_failure() == OnFailure::kRefuse;
  Task<Result<void>> task =
      written(note, Deadline::after(writer_->stuck_after()), refuses ? writer_->stuck_error() : nullptr);
  const Result<bool> waits = writer_->add(record, note);
  if (!waits) return ended(fail(waits.error()));
  if (!*waits) note->written.set();
  return task;
}

void Journal::post(const Record& record) noexcept {
  if (record.payload.size() > kMaxPayload) return writer_->count_dropped();
  writer_->add(record);
}

}  // namespace autoglm::journal
