#include "gateway/admission/usage/live_usage_index.h"

#include <pthread.h>

#include <exception>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::size_t kMostQuestions = 16;

}  // namespace

LiveUsageIndex::LiveUsageIndex(UsageIndex::Options options, const journal::Journal& journal,
                               observe::Logger& logger, observe::MetricRegistry& metrics, Duration every)
    : every_(every),
      logger_(logger),
      failures_(metrics.counter("autoglm_usage_index_failures_total",
                                "How often the index of usage could not be written.")),
      index_(std::move(options), journal, logger),
      thread_([this] { run(); }),
      asking_(1, kMostQuestions) {}

LiveUsageIndex::~LiveUsageIndex() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

Task<Result<std::vector<UsageRow>>> LiveUsageIndex::query(UsageQuery query) {
  auto asked = co_await asking_.run([this, query = std::move(query)] {
    const std::scoped_lock lock(index_mutex_);
    return index_.query(query);
  });
  if (!asked) co_return fail(std::move(asked).error());
  co_return std::move(*asked);
}

/// Whether all is written. Of failures in a row the first one is logged.
bool LiveUsageIndex::update(bool failing) {
  const auto updated = [this] {
    const std::scoped_lock held(index_mutex_);
    return index_.update(stop_);
  }();
  if (updated) return true;
  failures_.add();
  if (!failing)
    logger_.warning("the index of usage is not written; it goes on by itself",
                    {{"error", updated.error().message}});
  return false;
}

void LiveUsageIndex::run() {
  pthread_setname_np(pthread_self(), "usage index");
  bool failing = false;
  std::unique_lock lock(mutex_);
  for (bool last = false; !last;) {
    last = stop_;  // then once more: records that expire while there is no process must be in the file
    lock.unlock();
    try {
      failing = !update(failing);
    } catch (const std::exception&) {  // no memory: the next round goes on
      failures_.add();
    }
    lock.lock();
    if (!last) wake_.wait_for(lock, every_, [this] { return stop_.load(); });
  }
}

}  // namespace autoglm::gateway
