#include "runtime/event_loop.h"

#include "base/assert.h"
#include "runtime/descriptor.h"
#include "runtime/event_loop_core.h"
#include "runtime/loop_time.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <limits>
#include <utility>

namespace autoglm {

namespace {

// How many links of a chain of coroutines that wake each other run before sockets and timers are looked at
// again.
constexpr int kPasses = 16;
constexpr std::size_t kEvents = 256;

thread_local EventLoop* t_current = nullptr;

class EnterLoop {
 public:
  explicit EnterLoop(EventLoop* loop)
      : previous_(std::exchange(t_current, loop)),
        previous_time_(std::exchange(detail::t_loop_time, std::chrono::steady_clock::now())) {}
  ~EnterLoop() {
    t_current = previous_;
    detail::t_loop_time = previous_time_;
  }
  EnterLoop(const EnterLoop&) = delete;
  EnterLoop& operator=(const EnterLoop&) = delete;

 private:
  EventLoop* previous_;
  MonotonicTime previous_time_;
};

MonotonicTime look_at_clock() { return detail::t_loop_time = std::chrono::steady_clock::now(); }

/// Looks only if a kernel tick has passed since: some coroutine took long. Checking costs an eighth of a
/// look.
void keep_up_with_clock() {
  timespec tick{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &tick);
  const auto since_boot = std::chrono::seconds(tick.tv_sec) + std::chrono::nanoseconds(tick.tv_nsec);
  if (MonotonicTime(since_boot) > detail::t_loop_time) look_at_clock();
}

/// Sleeps with nanosecond precision where the kernel can (Linux 5.11), else in milliseconds, rounded up.
int wait_for_events(int epoll, std::array<epoll_event, kEvents>& events, Duration timeout) {
  static std::atomic<bool> precise{true};
  if (timeout == Duration::zero()) return ::epoll_wait(epoll, events.data(), kEvents, 0);
  if (timeout == Duration::max()) return ::epoll_wait(epoll, events.data(), kEvents, -1);
  if (precise.load(std::memory_order_relaxed)) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
    const timespec time{.tv_sec = seconds.count(), .tv_nsec = (timeout - seconds).count()};
    const int count = ::epoll_pwait2(epoll, events.data(), kEvents, &time, nullptr);
    if (count >= 0 || errno == EINTR) return count;
    precise = false;  // old kernels, and sandboxes that lack the call
  }
  const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  return ::epoll_wait(epoll, events.data(), kEvents,
                      static_cast<int>(std::min<std::int64_t>(rounded, std::numeric_limits<int>::max())));
}

}  // namespace

EventLoop::Core::Core()
    : epoll(::epoll_create1(EPOLL_CLOEXEC)),
      wake_event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      timers(std::chrono::steady_clock::now()) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;  // its count is never read: each write is an edge
  AUTOGLM_ASSERT(epoll >= 0 && wake_event >= 0 && ::epoll_ctl(epoll, EPOLL_CTL_ADD, wake_event, &event) == 0,
                 "an event loop needs two file descriptors");
}

EventLoop::Core::~Core() {
  posted.clear();
  ::close(wake_event);
  ::close(epoll);
}

void EventLoop::Core::wake() const { ::eventfd_write(wake_event, 1); }

EventLoop::EventLoop(unsigned index) : index_(index), core_(std::make_unique<Core>()) {}

EventLoop::~EventLoop() {
  // Posted closures that never ran may own tasks of this loop: destroy them as if on the loop.
  const EnterLoop enter(this);
  core_->posted.clear();
  while (!core_->errands.empty()) take_errand(core_->errands);
  core_.reset();
}

void EventLoop::run() {
  const EnterLoop enter(this);
  const auto stopped = [this] { return core_->stopped.load(std::memory_order_relaxed); };
  while (!stopped()) {
    run_posted();
    core_->yielded = false;
    for (int pass = 0; pass < kPasses && !core_->ready.empty() && !core_->yielded && !stopped(); ++pass)
      drain_ready();
    if (stopped()) break;
    poll();
    look_at_clock();
    fire_timers();
  }
  core_->stopped = false;
}

void EventLoop::stop() {
  const std::lock_guard lock(core_->mutex);
  core_->stopped = true;
  if (core_->end_sleep()) core_->wake();
}

void EventLoop::post(std::move_only_function<void()> function) {
  const std::lock_guard lock(core_->mutex);
  core_->posted.push_back(std::move(function));
  core_->has_posted.store(true, std::memory_order_relaxed);
  // Still under the lock: the loop may be destroyed as soon as it has seen what was posted.
  if (core_->end_sleep()) core_->wake();
}

void EventLoop::post(std::shared_ptr<Errand> errand) noexcept {
  const std::lock_guard lock(core_->mutex);
  Errand& posted = *errand;
  posted.self_ = std::move(errand);
  core_->errands.push_back(posted);
  core_->has_posted.store(true, std::memory_order_relaxed);
  if (core_->end_sleep()) core_->wake();
}

template <class List>
std::shared_ptr<Errand> EventLoop::take_errand(List& errands) {
  std::shared_ptr<Errand> taken = std::move(errands.front().self_);
  errands.pop_front();
  return taken;
}

void EventLoop::run_posted() {
  if (!core_->has_posted.load(std::memory_order_relaxed)) return;
  core_->idle.work();
  std::vector<std::move_only_function<void()>> batch;
  boost::intrusive::list<Errand, Core::Unsized> errands;
  {
    const std::lock_guard lock(core_->mutex);
    batch.swap(core_->posted);
    errands.swap(core_->errands);
    core_->has_posted.store(false, std::memory_order_relaxed);
  }
  while (!errands.empty()) {
    keep_up_with_clock();
    take_errand(errands)->run();
  }
  for (auto& function : batch) {
    keep_up_with_clock();
    function();
    function = nullptr;  // destroys its captures before the next one runs
  }
}

EventLoop& EventLoop::current() {
  AUTOGLM_ASSERT(t_current != nullptr, "no event loop runs on this thread");
  return *t_current;
}

EventLoop* EventLoop::current_or_null() { return t_current; }

void EventLoop::resume_soon(Waiter& waiter) { core_->ready.push_back(waiter); }

void EventLoop::resume_after_others(Waiter& waiter) {
  core_->yielded = true;
  core_->ready.push_back(waiter);
}

void EventLoop::drain_ready() {
  // Coroutines that become ready meanwhile wait for the next pass.
  boost::intrusive::list<Waiter, Core::Unsized> batch;
  batch.swap(core_->ready);
  while (!batch.empty()) {
    Waiter& waiter = batch.front();
    batch.pop_front();
    keep_up_with_clock();
    waiter.handle.resume();
  }
}

void EventLoop::poll() {
  Duration timeout = Duration::zero();
  if (core_->ready.empty()) {
    timeout = Duration::max();
    if (const MonotonicTime next = core_->timers.next(); next != MonotonicTime::max()) {
      const auto now = look_at_clock();
      timeout = next <= now ? Duration::zero() : next - now;
    }
  }
  if (timeout != Duration::zero()) {
    const std::lock_guard lock(core_->mutex);
    core_->sleeping = !core_->has_posted.load(std::memory_order_relaxed) && !core_->stopped;
    if (!core_->sleeping) timeout = Duration::zero();
  }
  std::array<epoll_event, kEvents> events;
  const Duration bounded = core_->idle.bounded(timeout);
  const int count = wait_for_events(core_->epoll, events, bounded);
  if (timeout != Duration::zero()) {
    const std::lock_guard lock(core_->mutex);
    core_->sleeping = false;
  }
  // No coroutine runs here, so no Descriptor that the kernel has reported is destroyed before it is marked.
  if (count > 0 || timeout == Duration::zero()) core_->idle.work();
  if (count == 0 && bounded == IdleTurn::kAfter && bounded < timeout) core_->idle.rest();
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.ptr != nullptr) static_cast<Descriptor*>(event.data.ptr)->mark(event.events);
  }
}

void EventLoop::fire_timers() {
  const MonotonicTime now = loop_time();
  while (Timer* timer = core_->timers.take(now)) timer->on_expiry_();
}

void Timer::arm(MonotonicTime at) { arm(EventLoop::current().core_->timers, at); }

void Timer::arm(TimerQueue& queue, MonotonicTime at) {
  cancel();
  at_ = at;
  queue.add(*this);
}

SleepUntil::SleepUntil(MonotonicTime at)
    : at_(at), timer_([this] { EventLoop::current().resume_soon(waiter_); }) {}

void SleepUntil::await_suspend(std::coroutine_handle<> handle) {
  waiter_.handle = handle;
  if (at_ == MonotonicTime::min()) {
    EventLoop::current().resume_after_others(waiter_);
  } else {
    timer_.arm(at_);
  }
}

}  // namespace autoglm
