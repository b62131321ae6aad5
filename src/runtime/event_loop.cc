#include "runtime/event_loop.h"

#include "base/assert.h"
#include "runtime/event_loop_core.h"

#include <boost/asio/post.hpp>

#include <utility>

namespace autoglm {

namespace {

thread_local EventLoop* t_current = nullptr;

class EnterLoop {
 public:
  explicit EnterLoop(EventLoop* loop) : previous_(std::exchange(t_current, loop)) {}
  ~EnterLoop() { t_current = previous_; }
  EnterLoop(const EnterLoop&) = delete;
  EnterLoop& operator=(const EnterLoop&) = delete;

 private:
  EventLoop* previous_;
};

}  // namespace

EventLoop::EventLoop(unsigned index) : index_(index), core_(std::make_unique<Core>()) {}

EventLoop::~EventLoop() {
  // Closures that were posted and never ran may own tasks of this loop: they die as if on it.
  const EnterLoop enter(this);
  core_.reset();
}

void EventLoop::run() {
  const EnterLoop enter(this);
  core_->context.run();
  core_->context.restart();
}

void EventLoop::run_until_idle() {
  const EnterLoop enter(this);
  core_->work.reset();
  core_->context.restart();
  core_->context.run();
  core_->context.restart();
  core_->work.emplace(core_->context.get_executor());
}

void EventLoop::stop() { core_->context.stop(); }

void EventLoop::post(std::move_only_function<void()> function) {
  boost::asio::post(core_->context, std::move(function));
}

EventLoop& EventLoop::current() {
  AUTOGLM_ASSERT(t_current != nullptr, "no event loop runs on this thread");
  return *t_current;
}

EventLoop* EventLoop::current_or_null() { return t_current; }

void EventLoop::resume_soon(Waiter& waiter) {
  core_->ready.push_back(waiter);
  if (!core_->drain_posted) {
    core_->drain_posted = true;
    boost::asio::post(core_->context, [this] { drain_ready(); });
  }
}

void EventLoop::drain_ready() {
  // Those that become ready meanwhile wait for the next turn, behind sockets and timers.
  boost::intrusive::list<Waiter, Core::Unsized> batch;
  batch.swap(core_->ready);
  core_->drain_posted = false;
  while (!batch.empty()) {
    Waiter& waiter = batch.front();
    batch.pop_front();
    waiter.handle.resume();
  }
}

void EventLoop::fire_timers() {
  core_->alarm_at = MonotonicTime::max();
  const MonotonicTime now = std::chrono::steady_clock::now();
  auto& timers = core_->timers;
  while (!timers.empty() && timers.begin()->at_ <= now) {
    Timer& timer = *timers.begin();
    timers.erase(timers.begin());
    timer.on_expiry_();
  }
  rearm();
}

void EventLoop::rearm() {
  if (core_->timers.empty()) return;
  const MonotonicTime earliest = core_->timers.begin()->at_;
  if (earliest >= core_->alarm_at) return;
  core_->alarm_at = earliest;
  core_->alarm.expires_at(earliest);
  core_->alarm.async_wait([this](const boost::system::error_code& error) {
    if (!error) fire_timers();
  });
}

void Timer::arm(MonotonicTime at) {
  unlink_if_armed();
  at_ = at;
  EventLoop& loop = EventLoop::current();
  loop.core_->timers.insert(*this);
  loop.rearm();
}

SleepUntil::SleepUntil(MonotonicTime at)
    : at_(at), timer_([this] { EventLoop::current().resume_soon(waiter_); }) {}

void SleepUntil::await_suspend(std::coroutine_handle<> handle) {
  waiter_.handle = handle;
  if (at_ == MonotonicTime::min()) {
    EventLoop::current().resume_soon(waiter_);
  } else {
    timer_.arm(at_);
  }
}

}  // namespace autoglm
