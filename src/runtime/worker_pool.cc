#include "runtime/worker_pool.h"

#include <pthread.h>

#include <latch>
#include <string>

namespace autoglm {

WorkerPool::WorkerPool(unsigned workers) {
  for (unsigned i = 0; i < workers; ++i) loops_.push_back(std::make_unique<EventLoop>(i));
}

WorkerPool::~WorkerPool() { stop(); }

void WorkerPool::start() {
  for (auto& loop : loops_) {
    threads_.emplace_back([&loop] {
      pthread_setname_np(pthread_self(), ("loop-" + std::to_string(loop->index())).c_str());
      loop->run();
    });
  }
}

void WorkerPool::stop() {
  for (auto& loop : loops_) loop->stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerPool::on_each(const std::function<void(EventLoop&)>& function) {
  std::latch done(static_cast<std::ptrdiff_t>(loops_.size()));
  for (auto& loop : loops_) {
    loop->post([&function, &done, target = loop.get()] {
      function(*target);
      done.count_down();
    });
  }
  done.wait();
}

}  // namespace autoglm
