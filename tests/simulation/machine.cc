#include "machine.h"

#include "base/assert.h"
#include "memory.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace autoglm::simulation {

namespace {

thread_local Thread* t_thread = nullptr;

void wait_for_turn(Thread& thread) {
  while (::sem_wait(&thread.turn) != 0) {
  }
}

}  // namespace

Machine::Machine(std::uint64_t seed)
    : random_(seed), entropy_(~seed), wall_offset_(std::chrono::hours(24 * 365 * 50)) {}

Machine::~Machine() = default;

Machine* Machine::current() { return t_thread == nullptr ? nullptr : &t_thread->machine; }

void Machine::run(std::function<void()> program) {
  // A new host thread, so that thread-local state begins anew.
  const auto first = add_thread();
  std::thread carrier([&] {
    enter(first);
    program();
    AUTOGLM_ASSERT(live_ == 1, "the program ended before its threads");
    leave();
  });
  runnable_.clear();
  ::sem_post(&first->turn);
  carrier.join();
}

std::shared_ptr<Thread> Machine::add_thread() {
  all_.push_back(std::make_shared<Thread>(*this, static_cast<unsigned>(all_.size())));
  ++live_;
  runnable_.push_back(all_.back().get());
  return all_.back();
}

void Machine::enter(const std::shared_ptr<Thread>& thread) {
  wait_for_turn(*thread);
  t_thread = thread.get();
}

void Machine::leave() {
  Thread& self = *std::exchange(t_thread, nullptr);
  self.ended = true;
  --live_;
  wake(&self);
  if (live_ > 0) ::sem_post(&next_thread().turn);
}

void Machine::at(MonotonicTime when, std::move_only_function<void()> event) {
  const Memory::Outside machine;
  std::size_t slot = happenings_.size();
  if (free_slots_.empty()) {
    happenings_.push_back(std::move(event));
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
    happenings_[slot] = std::move(event);
  }
  events_.push_back({.at = when, .order = order_++, .slot = slot});
  std::push_heap(events_.begin(), events_.end());
}

void Machine::happen_until_now() {
  const Memory::Outside scripts;
  while (!events_.empty() && events_.front().at <= now_) {
    std::pop_heap(events_.begin(), events_.end());
    const std::size_t slot = events_.back().slot;
    events_.pop_back();
    auto happen = std::exchange(happenings_[slot], {});
    free_slots_.push_back(slot);
    happen();
  }
}

void Machine::unblock(Thread& thread, bool timed_out) {
  thread.blocked = false;
  thread.timed_out = timed_out;
  std::erase(blocked_, &thread);
  runnable_.push_back(&thread);
}

void Machine::expire_waits() {
  for (std::size_t i = 0; i < blocked_.size();) {
    if (blocked_[i]->until <= now_) {
      unblock(*blocked_[i], true);
    } else {
      ++i;
    }
  }
}

Thread& Machine::next_thread() {
  while (true) {
    happen_until_now();
    expire_waits();
    if (!runnable_.empty()) break;
    MonotonicTime next = events_.empty() ? MonotonicTime::max() : events_.front().at;
    for (const Thread* thread : blocked_) next = std::min(next, thread->until);
    AUTOGLM_ASSERT(next != MonotonicTime::max(), "every thread of the simulated machine waits for ever");
    now_ = std::max(now_, next);
  }
  Thread& next = *runnable_.front();
  runnable_.pop_front();
  return next;
}

void Machine::give_turn_to(Thread& next) {
  Thread& self = *t_thread;
  if (&next == &self) return;
  ::sem_post(&next.turn);
  wait_for_turn(self);
}

bool Machine::block(const void* thing, MonotonicTime until) {
  Thread& self = *t_thread;
  self.blocked = true;
  self.waits_for = thing;
  self.until = until;
  blocked_.push_back(&self);
  give_turn_to(next_thread());
  return !self.timed_out;
}

void Machine::wake(const void* thing, bool all) {
  for (std::size_t i = 0; i < blocked_.size();) {
    if (blocked_[i]->waits_for != thing) {
      ++i;
      continue;
    }
    unblock(*blocked_[i], false);
    if (!all) return;
  }
}

void Machine::pass_time() {
  now_ += std::chrono::nanoseconds(500 + (order_ * 7919 + fingerprint_) % 4000);
  happen_until_now();
  if (blocked_.empty() && runnable_.empty()) return;
  runnable_.push_back(t_thread);
  give_turn_to(next_thread());
}

}  // namespace autoglm::simulation
