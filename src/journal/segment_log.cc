#include "journal/segment_log.h"

#include "base/random.h"

#include <string>
#include <utility>

namespace autoglm::journal {

namespace {

constexpr std::size_t kProbeBytes = 4096;
// A segment of a quiet server ends after this part of the retention, so that its records can be removed in
// time.
constexpr int kSegmentsInRetention = 8;

std::chrono::system_clock::time_point this_millisecond() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

}  // namespace

Result<std::unique_ptr<SegmentLog>> SegmentLog::open(Storage& storage, Options options,
                                                     const JournalEnd& end) {
  std::unique_ptr<SegmentLog> log(new SegmentLog(storage, options, end.next_sequence));
  if (!end.segment) return log;
  auto file = storage.reopen(end.segment->name);
  if (!file) return fail(file.error());
  log->file_ = std::move(*file);
  log->head_ = end.segment->head;
  log->size_ = end.segment->bytes;
  log->synced_ = false;  // the last process may have ended before it could sync
  return log;
}

Result<void> SegmentLog::write(std::span<char> frames, bool durable) {
  if (auto room = ensure_room(); !room) return room;
  std::uint64_t next = next_sequence_;
  for (std::size_t at = 0; at < frames.size(); ++next) at += seal_frame(&frames[at], head_.salt, next);
  if (auto written = write_all({frames.data(), frames.size()}); !written) {
    cut_back();
    return written;
  }
  if (durable) {
    if (auto synced = file_->sync(); !synced) {
      cut_back();
      file_.reset();  // whether the system holds the earlier bytes is unknown
      return synced;
    }
  }
  size_ += frames.size();
  next_sequence_ = next;
  synced_ = durable;
  return {};
}

Result<void> SegmentLog::sync() {
  if (!file_ || synced_) return {};
  auto synced = file_->sync();
  if (!synced) file_.reset();
  synced_ = true;
  return synced;
}

Result<void> SegmentLog::probe() {
  if (auto room = ensure_room(); !room) return room;
  auto written = write_all(std::string(kProbeBytes, '\0'));
  cut_back();
  return written;
}

Result<std::size_t> SegmentLog::expire(std::chrono::system_clock::time_point now) {
  if (!options_.retention) return std::size_t{0};
  if (file_ && next_sequence_ > head_.first_sequence &&
      now - head_.created > *options_.retention / kSegmentsInRetention) {
    if (auto ended = end_segment(); !ended) return fail(ended.error());
    if (auto begun = begin_segment(); !begun) return fail(begun.error());
  }
  const auto segments = list_segments(storage_);
  if (!segments) return fail(segments.error());
  std::size_t removed = 0;
  for (std::size_t i = 0; i + 1 < segments->size(); ++i) {
    if (now - (*segments)[i].modified <= *options_.retention) break;
    if (auto done = storage_.remove((*segments)[i].name); !done) return fail(done.error());
    ++removed;
  }
  if (removed > 0) {
    if (auto synced = storage_.sync(); !synced) return fail(synced.error());
  }
  return removed;
}

Result<void> SegmentLog::ensure_room() {
  if (file_ && size_ >= options_.segment_bytes && next_sequence_ > head_.first_sequence) {
    if (auto ended = end_segment(); !ended) return ended;
  }
  return file_ ? Result<void>() : begin_segment();
}

/// Its file may exist: then it holds nothing but a write that has failed.
Result<void> SegmentLog::begin_segment() {
  auto file = storage_.create(segment_name(next_sequence_));
  if (!file) return fail(file.error());
  file_ = std::move(*file);
  head_ = {.salt = static_cast<std::uint32_t>(thread_random()()),
           .first_sequence = next_sequence_,
           .created = this_millisecond()};
  size_ = 0;
  synced_ = false;
  auto begun = write_all(to_bytes(head_));
  if (begun && options_.syncs) begun = storage_.sync();
  if (!begun) {
    file_.reset();
    return begun;
  }
  size_ = kSegmentHead;
  ++segments_begun_;
  return {};
}

Result<void> SegmentLog::end_segment() {
  if (options_.syncs) {
    if (auto synced = sync(); !synced) return synced;
  }
  file_.reset();
  return {};
}

/// At the end of the segment, which is not moved.
Result<void> SegmentLog::write_all(std::string_view bytes) {
  std::uint64_t at = size_;
  while (!bytes.empty()) {
    const auto written = file_->write(at, bytes);
    if (!written) return fail(written.error());
    bytes.remove_prefix(*written);
    at += *written;
  }
  return {};
}

void SegmentLog::cut_back() {
  if (!file_->truncate(size_)) file_.reset();
}

}  // namespace autoglm::journal
