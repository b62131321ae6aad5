#include "runtime/blocking_pool.h"

#include "runtime/idle_hook.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace autoglm {

/// The waiting jobs by tenant; the first tenant in line has the next turn.
struct BlockingPool::Queue {
  struct Job {
    std::uint64_t ticket = 0;
    bool is_long = false;
    std::move_only_function<void()> function;
  };
  struct Tenant {
    std::uint64_t id = 0;
    std::deque<Job> jobs;
  };

  Queue(unsigned threads, std::size_t most) : long_limit(threads > 1 ? threads - 1 : 1), limit(most) {}

  std::deque<Job>* jobs_of(std::uint64_t id) {
    const auto found = std::ranges::find(line, id, &Tenant::id);
    return found == line.end() ? nullptr : &found->jobs;
  }
  /// The next job that may begin now: from the tenants in turn, skipping long jobs while too many run.
  std::optional<Job> take() {
    for (auto tenant = line.begin(); tenant != line.end(); ++tenant) {
      const auto job = std::ranges::find_if(
          tenant->jobs, [this](const Job& each) { return !each.is_long || running_long < long_limit; });
      if (job == tenant->jobs.end()) continue;
      Job taken = std::move(*job);
      tenant->jobs.erase(job);
      --waiting;
      if (tenant->jobs.empty()) {
        line.erase(tenant);
      } else {
        line.splice(line.end(), line, tenant);
      }
      return taken;
    }
    return std::nullopt;
  }
  void work();

  const unsigned long_limit;
  const std::size_t limit;
  std::mutex mutex;
  std::condition_variable ready;
  std::list<Tenant> line;  // tenants move to its end without memory, of which there may be none
  std::size_t waiting = 0;
  unsigned running_long = 0;
  std::uint64_t last_ticket = 0;
  bool closed = false;
};

void BlockingPool::Queue::work() {
  IdleTurn idle;
  std::unique_lock lock(mutex);
  while (true) {
    std::optional<Job> job;
    const auto has_work = [&] { return closed || (job = take()).has_value(); };
    if (const Duration most = idle.bounded(Duration::max()); most == Duration::max()) {
      ready.wait(lock, has_work);
    } else if (!ready.wait_for(lock, most, has_work)) {
      lock.unlock();
      idle.rest();
      lock.lock();
      continue;
    }
    if (closed) return;
    idle.work();
    running_long += job->is_long ? 1U : 0U;
    lock.unlock();
    job->function();
    job->function = nullptr;  // destroys its captures outside the lock
    lock.lock();
    running_long -= job->is_long ? 1U : 0U;
    // Another thread may have skipped a long job.
    if (job->is_long) ready.notify_one();
  }
}

struct BlockingPool::Threads {
  std::vector<std::thread> all;
};

BlockingPool::BlockingPool(unsigned threads, std::size_t queue_limit)
    : queue_(std::make_shared<Queue>(threads, queue_limit)), threads_(std::make_unique<Threads>()) {
  for (unsigned i = 0; i < threads; ++i)
    threads_->all.emplace_back([queue = queue_.get()] { queue->work(); });
}

BlockingPool::~BlockingPool() {
  std::list<Queue::Tenant> dropped;
  {
    const std::lock_guard lock(queue_->mutex);
    queue_->closed = true;
    dropped.swap(queue_->line);
  }
  queue_->ready.notify_all();
  for (std::thread& thread : threads_->all) thread.join();
}

std::uint64_t BlockingPool::enqueue(std::move_only_function<void()> job, Turn turn) {
  Queue& queue = *queue_;
  std::uint64_t ticket = 0;
  {
    const std::lock_guard lock(queue.mutex);
    if (queue.closed || queue.waiting >= queue.limit) return 0;
    std::deque<Queue::Job>* jobs = queue.jobs_of(turn.tenant);
    // One tenant leaves half of the queue to the others.
    if (jobs != nullptr && jobs->size() >= std::max<std::size_t>(1, queue.limit / 2)) return 0;
    if (jobs == nullptr) jobs = &queue.line.emplace_back(turn.tenant, std::deque<Queue::Job>()).jobs;
    ticket = ++queue.last_ticket;
    jobs->push_back({ticket, turn.is_long, std::move(job)});
    ++queue.waiting;
  }
  queue.ready.notify_one();
  return ticket;
}

void BlockingPool::withdraw(Queue& queue, std::uint64_t ticket) {
  std::move_only_function<void()> dropped;  // destroyed outside the lock
  const std::lock_guard lock(queue.mutex);
  for (auto tenant = queue.line.begin(); tenant != queue.line.end(); ++tenant) {
    const auto job = std::ranges::find(tenant->jobs, ticket, &Queue::Job::ticket);
    if (job == tenant->jobs.end()) continue;
    dropped = std::move(job->function);
    tenant->jobs.erase(job);
    if (tenant->jobs.empty()) queue.line.erase(tenant);
    --queue.waiting;
    return;
  }
}

Error BlockingPool::threw(const std::exception& exception) {
  return Error{.code = ErrorCode::kInternal,
               .message = std::string("the request could not be prepared: ") + exception.what()};
}

Error BlockingPool::no_memory() {
  return Error{.code = ErrorCode::kUnavailable,
               .retry = Retry::kElsewhere,
               .message = "this server has no memory left to prepare this request; try again shortly",
               .reason = "no_memory",
               .retry_after = std::chrono::seconds(1)};
}

Error BlockingPool::queue_full() {
  return Error{.code = ErrorCode::kResourceExhausted,
               .retry = Retry::kElsewhere,
               .message = "too much work is waiting to be prepared; try again shortly",
               .reason = "queue_full",
               .retry_after = std::chrono::seconds(1)};
}

}  // namespace autoglm
