#pragma once

#include "base/clock.h"
#include "base/random.h"

#include <semaphore.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::simulation {

class Machine;

/// A thread of the simulated machine. A thread of the host carries it, and blocks while another simulated
/// thread has its turn.
struct Thread {
  Thread(Machine& owner, unsigned index) : machine(owner), number(index) { ::sem_init(&turn, 0, 0); }
  ~Thread() { ::sem_destroy(&turn); }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  Machine& machine;
  unsigned number;
  sem_t turn;
  bool blocked = false;
  bool timed_out = false;
  bool ended = false;
  MonotonicTime until;              ///< while it is blocked
  const void* waits_for = nullptr;  ///< a condition variable, an epoll, a thread; null: time alone
};

/// The machine that a program under simulation runs on: a clock that advances when all threads wait, threads
/// of which one runs at a time, and entropy from a seed. The program's calls to the kernel and the C++
/// library for these come here, by symbols that the linker exchanges (see `kernel_calls.cc`); the program
/// itself is the one that users run. Every choice is drawn from the seed, so that a run can be repeated.
class Machine {
 public:
  explicit Machine(std::uint64_t seed);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// Runs `program` as the machine's first thread, to its end. Threads that it starts must have ended by
  /// then.
  void run(std::function<void()> program);

  /// The machine that runs the calling thread; null: the host.
  static Machine* current();

  MonotonicTime now() const { return now_; }
  std::chrono::system_clock::time_point wall_now() const {
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(now_.time_since_epoch() +
                                                                        wall_offset_));
  }
  /// As if the machine had been stopped for that long: every timer is late.
  void stand_still(Duration time) { now_ += time; }
  /// The wall clock is set, forwards or backwards.
  void set_wall_clock(Duration by) { wall_offset_ += by; }
  Random& random() { return random_; }
  /// Between half of `mean` and one and a half times it.
  Duration about(Duration mean) {
    return std::chrono::duration_cast<Duration>(mean * (0.5 + random_.uniform()));
  }
  /// Random words for programs that ask the system for entropy.
  std::uint32_t entropy() { return static_cast<std::uint32_t>(entropy_()); }

  /// `event` happens at that time, on the thread that has its turn.
  void at(MonotonicTime when, std::move_only_function<void()> event);
  void in(Duration time, std::move_only_function<void()> event) { at(now_ + time, std::move(event)); }

  // For the calls of the program:
  /// Waits for `wake(thing)`, or until `until`; false: the time came first.
  bool block(const void* thing, MonotonicTime until);
  /// The first, or all, of the threads that wait for `thing` may go on.
  void wake(const void* thing, bool all = true);
  /// Work takes a little time, and other threads get a turn.
  void pass_time();
  /// Starts `body` as a further thread, which runs when the caller waits. The host's thread is made by the
  /// caller.
  std::shared_ptr<Thread> add_thread();
  void enter(const std::shared_ptr<Thread>& thread);  ///< on its own host thread, first
  void leave();                                       ///< last

  std::size_t threads() const { return live_; }
  /// Equal only for runs in which the same happened at the same times.
  std::uint64_t fingerprint() const { return fingerprint_; }
  void note(std::uint64_t what) {
    fingerprint_ = (fingerprint_ ^ what ^ static_cast<std::uint64_t>(now_.time_since_epoch().count())) *
                   std::uint64_t{1099511628211};
  }

 private:
  struct Event {
    MonotonicTime at;
    std::uint64_t order;
    std::size_t slot;  // of the function in happenings_
    friend bool operator<(const Event& a, const Event& b) {
      return a.at != b.at ? a.at > b.at
                          : a.order > b.order;  // the earliest is the greatest, since the heap is a max-heap
    }
  };
  void happen_until_now();
  void expire_waits();
  /// Advances the time until a thread can run.
  Thread& next_thread();
  void give_turn_to(Thread& next);
  void unblock(Thread& thread, bool timed_out);

  Random random_;
  Random entropy_;
  MonotonicTime now_{std::chrono::hours(1)};
  Duration wall_offset_;
  std::vector<Event> events_;  // a heap
  std::vector<std::move_only_function<void()>> happenings_;
  std::vector<std::size_t> free_slots_;
  std::uint64_t order_ = 0;
  std::vector<std::shared_ptr<Thread>> all_;
  std::deque<Thread*> runnable_;
  std::vector<Thread*> blocked_;
  std::size_t live_ = 0;
  std::uint64_t fingerprint_ = 14695981039346656037ULL;
};

}  // namespace autoglm::simulation
