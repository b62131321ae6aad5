#include "journal/journal_writer.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <exception>
#include <span>
#include <utility>

namespace autoglm::journal {

namespace {

using std::chrono::steady_clock;

constexpr Duration kSyncEach = std::chrono::seconds(1);
constexpr Duration kExpireEach = std::chrono::minutes(10);
constexpr Duration kReportEach = std::chrono::seconds(1);
constexpr Duration kMaxBackoff = std::chrono::seconds(5);
constexpr std::size_t kMaxWrite = std::size_t{1} << 20U;
constexpr std::size_t kMaxChains = 64;  // loops that are woken once each; there are as many as CPUs at most
constexpr std::size_t kKeptBuffer = std::size_t{1} << 20U;
constexpr std::array kCommitSeconds = {0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005,
                                       0.01,    0.05,    0.1,    0.5,    1.0,   5.0};

}  // namespace

struct JournalWriter::Metrics {
  explicit Metrics(observe::MetricRegistry& registry)
      : records(registry.counter("autoglm_journal_records_total", "Records written.")),
        bytes(registry.counter("autoglm_journal_bytes_total", "Bytes written, frames included.")),
        failures(registry.counter("autoglm_journal_failures_total", "Writes and syncs that failed.")),
        dropped(registry.counter("autoglm_journal_dropped_total", "Records that were never written.")),
        over_bound(registry.counter("autoglm_journal_over_bound_total",
                                    "Records that were taken although the queue was full.")),
        commits(registry.histogram("autoglm_journal_commit_seconds",
                                   "A commit: one write, and its sync if it has one.", kCommitSeconds)) {}
  observe::Counter &records, &bytes, &failures, &dropped, &over_bound;
  observe::Histogram& commits;
};

JournalWriter::JournalWriter(Options options, std::unique_ptr<Storage> storage,
                             std::unique_ptr<SegmentLog> log, observe::Logger& logger,
                             observe::MetricRegistry& registry)
    : options_(std::move(options)),
      storage_(std::move(storage)),
      log_(std::move(log)),
      logger_(logger),
      metrics_(std::make_unique<Metrics>(registry)),
      stuck_error_(std::make_shared<const Error>(refusal(
          "the disk of " + options_.path + " does not answer; look for a broken or overloaded disk"))),
      full_error_(std::make_shared<const Error>(refusal(
          "the disk of " + options_.path + " is slower than the records arrive; give it a faster disk"))),
      memory_error_(std::make_shared<const Error>(refusal("there is no memory for its records"))),
      next_sequence_(log_->next_sequence()),
      queue_gauge_(registry.callback(
          observe::MetricRegistry::Kind::kGauge, "autoglm_journal_queue_bytes",
          "Bytes of records that are not yet written.", {},
          [this] { return static_cast<double>(held_bytes_.load(std::memory_order_relaxed)); })) {
  chains_.reserve(kMaxChains);
  thread_ = std::thread([this] { run(); });
}

JournalWriter::~JournalWriter() {
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

/// What a client is told, with the reason for the log.
Error JournalWriter::refusal(std::string why) const {
  Error told{.code = ErrorCode::kUnavailable,
             .retry = Retry::kLater,
             .message = "requests are refused while this server cannot record them; try again later",
             .reason = "journal_unavailable",
             .retry_after = std::chrono::seconds(5)};
  why.insert(0, "the journal cannot be written: ");
  if (options_.on_failure == OnFailure::kRefuse)
    why += ", or set journal.on_failure to serve to answer requests without it";
  return caused_by(std::move(told), {.code = ErrorCode::kUnavailable, .message = std::move(why)});
}

Result<bool> JournalWriter::add(const Record& record, std::shared_ptr<WrittenNote> note) {
  const std::size_t bytes = kFrameHead + record.payload.size();
  bool wake = false;
  bool waits = true;
  {
    const std::scoped_lock lock(mutex_);
    const bool full = exceeds_bound(bytes);
    const bool hangs = stuck();
    if (options_.on_failure == OnFailure::kRefuse) {
      if (failure_) return std::unexpected(*failure_);
      if (hangs || full) return std::unexpected(hangs ? *stuck_error_ : *full_error_);
    } else if (full) {
      count_dropped();
      return false;
    }
    if (failure_ || hangs) {
      note = nullptr;
      waits = false;
    }
    queue_.add(record, std::move(note));
    held_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    wake = !failure_ && std::exchange(asleep_, false);
  }
  if (wake) wake_.notify_one();
  return waits;
}

void JournalWriter::add(const Record& record) noexcept {
  const std::size_t bytes = kFrameHead + record.payload.size();
  bool wake = false;
  try {
    const std::scoped_lock lock(mutex_);
    if (exceeds_bound(bytes)) {
      if (failure_ || stuck()) return count_dropped();
      metrics_->over_bound.add();
    }
    queue_.add(record, nullptr);
    held_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    wake = !failure_ && std::exchange(asleep_, false);
  } catch (const std::exception&) {  // no memory
    count_dropped();
  }
  if (wake) wake_.notify_one();
}

void JournalWriter::count_dropped(std::uint64_t records) noexcept {
  metrics_->dropped.add(records);
  dropped_.fetch_add(records, std::memory_order_relaxed);
}

Result<void> JournalWriter::healthy() const {
  const bool full = held_bytes_.load(std::memory_order_relaxed) >= options_.queue_bytes;
  if (!failing_.load(std::memory_order_relaxed) && !full && !stuck()) return {};
  const std::scoped_lock lock(mutex_);
  if (failure_) return std::unexpected(*failure_);
  return std::unexpected(full ? *full_error_ : *stuck_error_);
}

/// A single record may be longer than the bound.
bool JournalWriter::exceeds_bound(std::size_t bytes) const {
  const std::size_t held = held_bytes_.load(std::memory_order_relaxed);
  return held > 0 && held + bytes > options_.queue_bytes;
}

bool JournalWriter::stuck() const {
  const MonotonicTime since = busy_since_.load(std::memory_order_relaxed);
  return since != MonotonicTime::max() && steady_clock::now() - since > options_.stuck_after;
}

void JournalWriter::run() {
  pthread_setname_np(pthread_self(), "journal");
  report_at_ = steady_clock::now();
  expire_at_ = report_at_ + kExpireEach;  // an index reads first what a process before has left
  // The process before may have ended between a write and its sync.
  if (options_.sync == Sync::kPeriodic) sync_at_ = steady_clock::now() + kSyncEach;
  std::unique_lock lock(mutex_);
  while (true) {
    asleep_ = true;
    wake_.wait_until(lock, due(), [this] { return closed_ || (!failure_ && !queue_.empty()); });
    asleep_ = false;
    const bool last = closed_;
    lock.unlock();
    try {
      work(last);
    } catch (const std::exception&) {  // no memory: the records stay where they are
      failed(memory_error_);
      if (last) give_up_backlog();
    }
    lock.lock();
    worked_.notify_all();
    if (last) return;
  }
}

bool JournalWriter::flush(Duration most) {
  std::unique_lock lock(mutex_);
  const auto written = [this] { return held_bytes_.load(std::memory_order_relaxed) == 0; };
  worked_.wait_for(lock, most, [&] { return failure_ || written(); });
  return written();
}

MonotonicTime JournalWriter::due() const {
  const MonotonicTime retry = failing_ ? retry_at_ : MonotonicTime::max();
  const MonotonicTime report = dropped_ != reported_dropped_ ? report_at_ : MonotonicTime::max();
  return std::min({expire_at_, sync_at_, retry, report});
}

void JournalWriter::work(bool last) {
  if (last || !failing_ || steady_clock::now() >= retry_at_) commit(last);
  sync(last);
  if (!last) expire();
  if (last && !backlog_.empty()) give_up_backlog();
  report_dropped(last);
}

void JournalWriter::commit(bool last) {
  {
    const std::scoped_lock lock(mutex_);
    backlog_.take(queue_);
  }
  if (backlog_.empty() && (!failing_ || last)) return;
  const MonotonicTime begin = steady_clock::now();
  busy_since_.store(begin, std::memory_order_relaxed);
  const Result<void> written = backlog_.empty() ? log_->probe() : write_backlog();
  busy_since_.store(MonotonicTime::max(), std::memory_order_relaxed);
  metrics_->commits.observe(to_seconds(steady_clock::now() - begin));
  if (!written)
    return failed(std::make_shared<const Error>(
        refusal(written.error().message + "; make room on its disk, or repair it")));
  if (backlog_.frames.capacity() > kKeptBuffer) backlog_ = {};
  if (failing_) succeeded();
}

/// In as few writes as there are megabytes: usually one.
Result<void> JournalWriter::write_backlog() {
  struct Written {
    ~Written() { batch.remove_front(items, bytes); }  // an exception must not have them written twice
    RecordBatch& batch;
    std::size_t items = 0;
    std::size_t bytes = 0;
  } written{backlog_};
  while (written.items < backlog_.items.size()) {
    std::size_t bytes = 0;
    std::size_t end = written.items;
    while (end < backlog_.items.size() && bytes < kMaxWrite) bytes += backlog_.items[end++].bytes;
    auto done = log_->write(std::span(backlog_.frames).subspan(written.bytes, bytes),
                            options_.sync == Sync::kEachCommit);
    if (!done) return done;
    next_sequence_.store(log_->next_sequence(), std::memory_order_release);
    metrics_->records.add(end - written.items);
    metrics_->bytes.add(bytes);
    held_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    if (options_.sync == Sync::kPeriodic && sync_at_ == MonotonicTime::max())
      sync_at_ = steady_clock::now() + kSyncEach;
    answer(written.items, end, nullptr);
    written.items = end;
    written.bytes += bytes;
  }
  return {};
}

void JournalWriter::succeeded() {
  {
    const std::scoped_lock lock(mutex_);
    failure_ = nullptr;
    failing_ = false;
  }
  backoff_ = {};
  logger_.info("the journal is written again", {{"path", options_.path}});
}

/// Tells the waiters. Where requests are refused, their records are forgotten; records for which no task
/// waits stay.
void JournalWriter::failed(const SharedError& error) noexcept {
  metrics_->failures.add();
  busy_since_.store(MonotonicTime::max(), std::memory_order_relaxed);
  const bool first = !failing_;
  const bool refuses = options_.on_failure == OnFailure::kRefuse;
  backoff_ = first ? options_.retry_after : std::min(kMaxBackoff, backoff_ * 2);
  retry_at_ = steady_clock::now() + backoff_;
  try {
    const std::scoped_lock lock(mutex_);
    failure_ = error;
    failing_ = true;
    backlog_.take(queue_);           // nothing that arrives from now on waits
  } catch (const std::exception&) {  // no memory: these waiters are told after the next attempt
  }
  answer(0, backlog_.items.size(), refuses ? error : nullptr);
  held_bytes_.fetch_sub(backlog_.remove_refused(), std::memory_order_relaxed);
  if (!first) return;
  try {
    logger_.error(error->log_message(),
                  {{"requests", refuses ? std::string_view("refused") : std::string_view("served")}});
  } catch (const std::exception&) {  // no memory for the line; `healthy` says the same
  }
}

/// At the end of the process.
void JournalWriter::give_up_backlog() noexcept {
  held_bytes_.fetch_sub(backlog_.frames.size(), std::memory_order_relaxed);
  count_dropped(backlog_.items.size());
  backlog_.clear();
}

/// Each loop is woken once.
void JournalWriter::answer(std::size_t begin, std::size_t end, const SharedError& error) noexcept {
  for (std::size_t i = begin; i < end; ++i) {
    std::shared_ptr<WrittenNote> note = std::move(backlog_.items[i].note);
    if (!note) continue;
    backlog_.items[i].refused = error != nullptr;
    note->error = error;
    EventLoop& loop = note->loop;
    const auto chain = std::ranges::find(chains_, &loop, &Chain::loop);
    if (chain != chains_.end()) {
      WrittenNote* const tail = chain->tail;
      chain->tail = note.get();
      tail->next = std::move(note);
    } else if (chains_.size() < kMaxChains) {
      chains_.push_back({.loop = &loop, .head = note, .tail = note.get()});
    } else {
      loop.post(std::shared_ptr<Errand>(std::move(note)));
    }
  }
  for (Chain& chain : chains_) chain.loop->post(std::shared_ptr<Errand>(std::move(chain.head)));
  chains_.clear();
}

void JournalWriter::sync(bool now) {
  if (options_.sync == Sync::kNever || (!now && steady_clock::now() < sync_at_)) return;
  sync_at_ = MonotonicTime::max();
  busy_since_.store(steady_clock::now(), std::memory_order_relaxed);
  const auto synced = log_->sync();
  busy_since_.store(MonotonicTime::max(), std::memory_order_relaxed);
  if (synced) synced_sequence_.store(log_->next_sequence(), std::memory_order_release);
  if (!synced)
    failed(std::make_shared<const Error>(
        refusal(synced.error().message + "; records of the last second may be lost; repair the disk")));
}

void JournalWriter::expire() {
  const bool begun = has_expired_ && log_->segments_begun() != segments_begun_;
  if (!begun && steady_clock::now() < expire_at_) return;
  has_expired_ = true;
  segments_begun_ = log_->segments_begun();
  expire_at_ = steady_clock::now() + kExpireEach;
  if (failing_) return;
  const auto removed = log_->expire(std::chrono::system_clock::now());
  if (!removed) {
    logger_.warning("old segments of the journal are not removed: " + removed.error().message, {});
  } else if (*removed > 0) {
    logger_.info("old segments of the journal are removed",
                 {{"path", options_.path}, {"segments", *removed}});
  }
}

void JournalWriter::report_dropped(bool now) {
  const std::uint64_t dropped = dropped_.load(std::memory_order_relaxed);
  if (dropped == reported_dropped_ || (!now && steady_clock::now() < report_at_)) return;
  logger_.error("records are lost: the journal could not be written, and its queue was full",
                {{"path", options_.path}, {"records", dropped - reported_dropped_}});
  reported_dropped_ = dropped;
  report_at_ = steady_clock::now() + kReportEach;
}

}  // namespace autoglm::journal
