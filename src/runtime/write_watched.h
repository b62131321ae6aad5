#pragma once

#include "base/result.h"
#include "runtime/byte_stream.h"
#include "runtime/deadline.h"
#include "runtime/event_loop.h"
#include "runtime/task.h"

#include <coroutine>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <string_view>

namespace autoglm {

/// Awaits the writing of all of `parts`. It may take any time as long as the peer accepts some bytes within
/// every `stall`; otherwise kDeadlineExceeded, with `what` in its message, and an unknown part has gone out.
/// The kernel is asked what the peer accepts: our own buffers can take nothing for long without a stall,
/// since they wait until there is much room. The timer is armed only for a write that suspends.
class [[nodiscard]] WriteWatched {
 public:
  WriteWatched(ByteStream& stream, std::span<const std::string_view> parts, Duration stall, const char* what)
      : stream_(stream), stall_(stall), what_(what), task_(stream.write_all(parts)), timer_([this] {
          look();
        }) {}
  WriteWatched(const WriteWatched&) = delete;
  WriteWatched& operator=(const WriteWatched&) = delete;

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle) {
    if (task_.start()) return false;
    task_.when_done(handle);
    waiter_.handle = handle;
    taken_ = stream_.taken();
    given_up_at_ = Deadline::after(stall_);
    arm();
    return true;
  }
  Result<void> await_resume() {
    timer_.cancel();
    if (!task_.valid()) return fail(ErrorCode::kDeadlineExceeded, std::string(what_) + " took too long");
    try {
      return task_.take();
    } catch (const std::exception& exception) {  // as in with_deadline
      return fail(ErrorCode::kInternal, std::string(what_) + " failed: " + exception.what());
    }
  }

 private:
  static constexpr int kLooks = 4;  // per stall, so that a stall is noticed at most a quarter late

  void arm() {
    const Deadline next = earlier(given_up_at_, Deadline::after(stall_ / kLooks));
    if (!next.is_never()) timer_.arm(next.at());
  }
  void look() {
    if (const std::uint64_t taken = stream_.taken(); taken != taken_) {
      taken_ = taken;
      given_up_at_ = Deadline::after(stall_);
    }
    if (!given_up_at_.passed(loop_time())) return arm();
    task_ = {};
    EventLoop::current().resume_soon(waiter_);
  }

  ByteStream& stream_;
  Duration stall_;
  const char* what_;
  std::uint64_t taken_ = 0;
  Deadline given_up_at_;
  Task<Result<void>> task_;
  Waiter waiter_;
  Timer timer_;
};

}  // namespace autoglm
