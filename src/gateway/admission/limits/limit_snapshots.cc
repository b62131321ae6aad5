#include "gateway/admission/limits/limit_snapshots.h"

#include <pthread.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace autoglm::gateway {

namespace {

const std::string kLimitsName = "limits.snapshot";
constexpr int kTimesItsCost = 100;
constexpr Duration kLongestWait = std::chrono::minutes(1);
constexpr Duration kFlushes = std::chrono::seconds(2);

}  // namespace

LimitSnapshots::LimitSnapshots(Options options, LimitCheck& check, journal::Journal& journal,
                               observe::Logger& logger, observe::MetricRegistry& metrics)
    : options_(std::move(options)),
      check_(check),
      journal_(journal),
      logger_(logger),
      failures_(metrics.counter("autoglm_limit_snapshot_failures_total",
                                "How often what is used of the limits could not be saved.")) {}

void LimitSnapshots::begin_restore(LimitRecovery::LimitsOf limits_of) {
  recovery_.emplace(check_, std::move(limits_of));
  const auto snapshot = journal_.saved(kLimitsName);
  if (!snapshot && snapshot.error().code == ErrorCode::kNotFound) return;
  const auto saved = snapshot ? read_saved_limits(snapshot->state) : fail(snapshot.error());
  if (!saved) {
    logger_.warning("what was used of the limits is rebuilt from the journal: " + saved.error().message, {});
    return;
  }
  // A loss of power may have taken records that the state has: their numbers are given again.
  next_sequence_ = std::min(snapshot->next_sequence, journal_.next_sequence());
  recovery_->load(*saved);
}

void LimitSnapshots::finish_restore() {
  const std::uint64_t subjects = recovery_->finish(options_.wall(), std::chrono::steady_clock::now());
  recovery_.reset();
  logger_.info("limits restored", {{"subjects", subjects}, {"from_sequence", next_sequence_}});
  report(save());
  thread_ = std::thread([this] { run(); });
}

void LimitSnapshots::close() {
  if (!end_thread()) return;
  // A record that gets its number later is charged on top of a state that has it.
  journal_.flush(kFlushes);
  report(save());
}

bool LimitSnapshots::end_thread() {
  if (!thread_.joinable()) return false;
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
  }
  wake_.notify_one();
  thread_.join();
  return true;
}

Result<void> LimitSnapshots::save() const {
  // Before the limits are read: a record that is in the journal by now has been charged already.
  const std::uint64_t next = journal_.next_sequence();
  try {
    const SavedLimits saved = save_limits(check_, options_.wall(), std::chrono::steady_clock::now());
    return journal_.save(kLimitsName, {.next_sequence = next, .state = to_bytes(saved)});
  } catch (const std::exception& exception) {  // no memory
    return fail(ErrorCode::kUnavailable, exception.what());
  }
}

void LimitSnapshots::run() {
  pthread_setname_np(pthread_self(), "limits");
  Duration wait = options_.every;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, wait, [this] { return closed_; })) {
    lock.unlock();
    const MonotonicTime begin = std::chrono::steady_clock::now();
    try {
      report(save());
    } catch (const std::exception&) {  // no memory for the error either
      failures_.add();
    }
    // The disk's time counts, too, so that a slow one is left in peace; but not for long.
    const Duration cost = std::min<Duration>(std::chrono::steady_clock::now() - begin, kLongestWait);
    wait = std::max(options_.every, std::min(cost * kTimesItsCost, kLongestWait));
    lock.lock();
  }
}

void LimitSnapshots::report(const Result<void>& saved) {
  if (!saved) failures_.add();
  const bool first = !saved && !failing_;
  failing_ = !saved;
  if (!first) return;
  try {
    logger_.warning(
        "what is used of the limits is not saved; a restart reads more of the journal in its place",
        {{"error", saved.error().message}});
  } catch (const std::exception&) {  // no memory for the line; the counter says the same
  }
}

}  // namespace autoglm::gateway
