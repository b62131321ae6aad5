#include "runtime/os_signals.h"

#include "base/assert.h"
#include "runtime/descriptor.h"
#include "runtime/scope.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <utility>
#include <vector>

namespace autoglm {

namespace {

// A signal handler may do little more than write: it passes the number to the loop through a pipe.
std::array<std::atomic<int>, 65> g_write_ends{};

void on_delivery(int number) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(number);
  (void)!::write(g_write_ends[byte].load(std::memory_order_relaxed), &byte, 1);
  errno = saved;
}

}  // namespace

struct OsSignals::State : std::enable_shared_from_this<OsSignals::State> {
  State(EventLoop& on, std::array<int, 2> pipe, std::function<void(int)> callback)
      : loop(on), read_end(on, pipe[0]), write_end(pipe[1]), on_signal(std::move(callback)) {}
  ~State() { ::close(write_end); }

  Task<void> deliver() {
    while (true) {
      unsigned char number = 0;
      const ssize_t count = ::read(read_end.fd(), &number, 1);
      if (count == 1) {
        // From outside this task, because the callback may destroy it.
        loop.post([self = shared_from_this(), number] {
          if (!self->stopped) self->on_signal(number);
        });
      } else if (errno != EINTR) {
        read_end.readable.clear();
        co_await read_end.readable.wait();
      }
    }
  }

  EventLoop& loop;
  Descriptor read_end;
  int write_end;
  std::vector<std::pair<int, struct sigaction>> before;
  std::function<void(int)> on_signal;
  bool stopped = false;
  Scope delivery;  // last: its task uses the members above
};

OsSignals::OsSignals(EventLoop& loop, std::initializer_list<int> signals,
                     std::function<void(int)> on_signal) {
  std::array<int, 2> pipe{};
  AUTOGLM_ASSERT(::pipe2(pipe.data(), O_NONBLOCK | O_CLOEXEC) == 0, "signals need two file descriptors");
  state_ = std::make_shared<State>(loop, pipe, std::move(on_signal));
  for (const int number : signals) {
    g_write_ends[static_cast<std::size_t>(number)] = state_->write_end;
    struct sigaction action{};
    struct sigaction before{};
    action.sa_handler = on_delivery;
    action.sa_flags = SA_RESTART;
    ::sigaction(number, &action, &before);
    state_->before.emplace_back(number, before);
  }
  state_->delivery.spawn(state_->deliver());
}

OsSignals::~OsSignals() {
  for (const auto& [number, action] : state_->before) ::sigaction(number, &action, nullptr);
  state_->stopped = true;
  state_->delivery.cancel();
}

}  // namespace autoglm
