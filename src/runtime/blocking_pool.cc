#include "runtime/blocking_pool.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace autoglm {

struct BlockingPool::State {
  explicit State(std::size_t limit) : queue_limit(limit) {}

  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      ready.wait(lock, [this] { return closed || !jobs.empty(); });
      if (closed) return;
      auto job = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      job();
      job = nullptr;  // what it captured dies outside the lock
      lock.lock();
    }
  }

  const std::size_t queue_limit;
  std::mutex mutex;
  std::condition_variable ready;
  std::deque<std::move_only_function<void()>> jobs;
  bool closed = false;
  std::vector<std::thread> threads;
};

BlockingPool::BlockingPool(unsigned threads, std::size_t queue_limit)
    : state_(std::make_unique<State>(queue_limit)) {
  for (unsigned i = 0; i < threads; ++i)
    state_->threads.emplace_back([state = state_.get()] { state->work(); });
}

BlockingPool::~BlockingPool() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
  }
  state_->ready.notify_all();
  for (std::thread& thread : state_->threads) thread.join();
}

bool BlockingPool::submit(std::move_only_function<void()> job) {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->closed || state_->jobs.size() >= state_->queue_limit) return false;
    state_->jobs.push_back(std::move(job));
  }
  state_->ready.notify_one();
  return true;
}

Error BlockingPool::queue_full() {
  return Error{.code = ErrorCode::kResourceExhausted,
               .retry = Retry::kElsewhere,
               .message = "too much work is waiting to be prepared; try again shortly",
               .reason = "queue_full",
               .retry_after = std::chrono::seconds(1)};
}

}  // namespace autoglm
