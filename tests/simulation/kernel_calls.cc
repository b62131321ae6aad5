// The linker uses these functions in place of the kernel's and the C++ library's (see CMakeLists.txt): on a
// thread of a simulated machine the machine answers, on any other thread the host does.

#include "kernel_calls.h"

#include "network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

namespace autoglm::simulation {

namespace {

int fail_with(int error) {
  errno = error;
  return -1;
}

/// The simulated network, where `fd` is one of its descriptors.
Network* network_of(int fd) { return Network::is_ours(fd) ? Network::current() : nullptr; }

std::string text_of(const sockaddr_in& address) {
  std::array<char, INET_ADDRSTRLEN> text{};
  ::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
  return text.data();
}

sockaddr_in address_of(const std::string& text, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, text.c_str(), &address.sin_addr);
  return address;
}

int harvest(Epoll& epoll, epoll_event* events, int most) {
  int count = 0;
  while (count < most && !epoll.ready.empty()) {
    File& file = *epoll.ready.front();
    epoll.ready.pop_front();
    file.queued = false;
    const std::uint32_t state = file.state() & file.wanted;
    if (state == 0) continue;
    events[count].events = state;
    events[count].data.u64 = file.data;
    ++count;
  }
  return count;
}

int wait_for_events(Epoll& epoll, epoll_event* events, int most, MonotonicTime until, Machine& machine) {
  machine.pass_time();
  while (true) {
    const int count = harvest(epoll, events, most);
    if (count > 0 || until <= machine.now() || !machine.block(&epoll, until)) {
      return count > 0 ? count : harvest(epoll, events, most);
    }
  }
}

timespec spec_of(Duration since) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  return {.tv_sec = seconds.count(), .tv_nsec = (since - seconds).count()};
}

/// The threads that the machine has started, by the host threads that carry them.
struct Started {
  pthread_t carrier;
  std::shared_ptr<Thread> thread;
};
std::vector<Started>& started() {
  static std::vector<Started> all;  // used by the thread that has its turn
  return all;
}

/// The body of a thread of the program, between the machine's calls to enter and leave.
struct Carried final : std::thread::_State {
  Carried(std::thread::_State_ptr program, std::shared_ptr<Thread> carried)
      : body(std::move(program)), thread(std::move(carried)) {}
  void _M_run() override {
    thread->machine.enter(thread);
    body->_M_run();
    body.reset();
    thread->machine.leave();
  }
  std::thread::_State_ptr body;
  std::shared_ptr<Thread> thread;
};

}  // namespace

namespace calls {

// The clock.

MonotonicTime machine_steady_now() {
  Machine* machine = Machine::current();
  return machine == nullptr ? real_steady_now() : machine->now();
}

std::chrono::system_clock::time_point machine_system_now() {
  Machine* machine = Machine::current();
  return machine == nullptr ? real_system_now() : machine->wall_now();
}

std::time_t machine_time(std::time_t* into) {
  Machine* machine = Machine::current();
  if (machine == nullptr) return real_time(into);
  const std::time_t now = std::chrono::system_clock::to_time_t(machine->wall_now());
  if (into != nullptr) *into = now;
  return now;
}

/// CPU clocks follow the machine's clock.
int machine_clock_gettime(clockid_t clock, timespec* into) {
  Machine* machine = Machine::current();
  if (machine == nullptr) return real_clock_gettime(clock, into);
  *into = spec_of(clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE
                      ? std::chrono::duration_cast<Duration>(machine->wall_now().time_since_epoch())
                      : machine->now().time_since_epoch());
  return 0;
}

unsigned machine_entropy(std::random_device* device) {
  Machine* machine = Machine::current();
  return machine == nullptr ? real_entropy(device) : machine->entropy();
}

// Threads.

void machine_start_thread(std::thread* thread, std::thread::_State_ptr state, void (*depend)()) {
  Machine* machine = Machine::current();
  if (machine == nullptr) return real_start_thread(thread, std::move(state), depend);
  auto carried = machine->add_thread();
  real_start_thread(thread, std::make_unique<Carried>(std::move(state), carried), depend);
  started().push_back({thread->native_handle(), std::move(carried)});
}

void machine_join_thread(std::thread* thread) {
  if (Machine* machine = Machine::current(); machine != nullptr) {
    const auto found = std::ranges::find(started(), thread->native_handle(), &Started::carrier);
    if (found != started().end()) {
      const auto joined = found->thread;
      started().erase(found);
      while (!joined->ended) machine->block(joined.get(), MonotonicTime::max());
    }
  }
  real_join_thread(thread);
}

void machine_condition_wait(std::condition_variable* condition, std::unique_lock<std::mutex>& lock) {
  Machine* machine = Machine::current();
  if (machine == nullptr) return real_condition_wait(condition, lock);
  lock.unlock();
  machine->block(condition->native_handle(), MonotonicTime::max());
  lock.lock();
}

void machine_notify_one(std::condition_variable* condition) {
  if (Machine* machine = Machine::current(); machine != nullptr) {
    machine->wake(condition->native_handle(), false);
  } else {
    real_notify_one(condition);
  }
}

void machine_notify_all(std::condition_variable* condition) {
  if (Machine* machine = Machine::current(); machine != nullptr) {
    machine->wake(condition->native_handle());
  } else {
    real_notify_all(condition);
  }
}

int machine_condition_wait_until(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                                 const timespec* until) {
  Machine* machine = Machine::current();
  if (machine == nullptr) return real_condition_wait_until(condition, mutex, clock, until);
  ::pthread_mutex_unlock(mutex);
  const bool woken = machine->block(condition, MonotonicTime(std::chrono::seconds(until->tv_sec) +
                                                             std::chrono::nanoseconds(until->tv_nsec)));
  ::pthread_mutex_lock(mutex);
  return woken ? 0 : ETIMEDOUT;
}

// Descriptors.

int machine_epoll_create1(int flags) {
  Network* network = Network::current();
  return network == nullptr ? real_epoll_create1(flags) : network->add(std::make_unique<Epoll>());
}

int machine_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  Network* network = network_of(epoll);
  if (network == nullptr) return real_epoll_ctl(epoll, operation, fd, event);
  const int error =
      network->watch(*network->find<Epoll>(epoll), operation, fd, event == nullptr ? 0 : event->events,
                     event == nullptr ? 0 : event->data.u64);
  return error == 0 ? 0 : fail_with(error);
}

int machine_epoll_wait(int epoll, epoll_event* events, int most, int milliseconds) {
  Network* network = network_of(epoll);
  if (network == nullptr) return real_epoll_wait(epoll, events, most, milliseconds);
  Machine& machine = network->machine();
  const MonotonicTime until =
      milliseconds < 0 ? MonotonicTime::max() : machine.now() + std::chrono::milliseconds(milliseconds);
  return wait_for_events(*network->find<Epoll>(epoll), events, most, until, machine);
}

int machine_epoll_pwait2(int epoll, epoll_event* events, int most, const timespec* timeout,
                         const sigset_t* mask) {
  Network* network = network_of(epoll);
  if (network == nullptr) return real_epoll_pwait2(epoll, events, most, timeout, mask);
  Machine& machine = network->machine();
  const Duration time = std::chrono::seconds(timeout->tv_sec) + std::chrono::nanoseconds(timeout->tv_nsec);
  return wait_for_events(*network->find<Epoll>(epoll), events, most, machine.now() + time, machine);
}

int machine_eventfd(unsigned count, int flags) {
  Network* network = Network::current();
  return network == nullptr ? real_eventfd(count, flags) : network->add(std::make_unique<EventFile>());
}

int machine_eventfd_write(int fd, eventfd_t value) {
  Network* network = network_of(fd);
  if (network == nullptr) return real_eventfd_write(fd, value);
  network->find<EventFile>(fd)->edge(EPOLLIN);
  return 0;
}

int machine_close(int fd) {
  Network* network = network_of(fd);
  if (network == nullptr) return real_close(fd);
  return network->close(fd) ? 0 : fail_with(EBADF);
}

// Sockets. A new socket, neither listening nor connected, is a listener that does not listen yet.

int machine_socket(int domain, int type, int protocol) {
  Network* network = Network::current();
  if (network == nullptr) return real_socket(domain, type, protocol);
  return domain == AF_INET ? network->add(std::make_unique<ListenFile>()) : fail_with(EAFNOSUPPORT);
}

int machine_bind(int fd, const sockaddr* address, socklen_t length) {
  Network* network = network_of(fd);
  if (network == nullptr) return real_bind(fd, address, length);
  sockaddr_in wanted{};
  std::memcpy(&wanted, address, sizeof wanted);
  const std::uint16_t port = ntohs(wanted.sin_port);
  if (port != 0 && network->listener(port) != nullptr) return fail_with(EADDRINUSE);
  network->find<ListenFile>(fd)->port = port == 0 ? network->free_port() : port;
  return 0;
}

int machine_listen(int fd, int backlog) {
  Network* network = network_of(fd);
  if (network == nullptr) return real_listen(fd, backlog);
  network->find<ListenFile>(fd)->listens = true;
  return 0;
}

int machine_getsockname(int fd, sockaddr* address, socklen_t* length) {
  Network* network = network_of(fd);
  if (network == nullptr) return real_getsockname(fd, address, length);
  const auto* listening = network->find<ListenFile>(fd);
  const sockaddr_in local = address_of("10.0.0.1", listening == nullptr ? 0 : listening->port);
  std::memcpy(address, &local, sizeof local);
  *length = sizeof local;
  return 0;
}

int machine_setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  return network_of(fd) == nullptr ? real_setsockopt(fd, level, name, value, length) : 0;
}

int machine_getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
  Network* network = network_of(fd);
  if (network == nullptr) return real_getsockopt(fd, level, name, value, length);
  auto* stream = network->find<StreamFile>(fd);
  if (stream == nullptr || level != SOL_SOCKET || name != SO_ERROR) return fail_with(EBADF);
  const int error = std::exchange(stream->error, 0);
  std::memcpy(value, &error, sizeof error);
  return 0;
}

int machine_connect(int fd, const sockaddr* address, socklen_t length) {
  Network* network = network_of(fd);
  if (network == nullptr) return real_connect(fd, address, length);
  sockaddr_in target{};
  std::memcpy(&target, address, sizeof target);
  return fail_with(network->connect(fd, text_of(target), ntohs(target.sin_port)));
}

int machine_accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  Network* network = network_of(fd);
  if (network == nullptr) return real_accept4(fd, address, length, flags);
  std::string from;
  const int accepted = network->accept(*network->find<ListenFile>(fd), from);
  if (accepted < 0) return fail_with(EAGAIN);
  const sockaddr_in peer = address_of(from, static_cast<std::uint16_t>(accepted));
  std::memcpy(address, &peer, sizeof peer);
  *length = sizeof peer;
  return accepted;
}

ssize_t machine_recv(int fd, void* into, std::size_t size, int flags) {
  Network* network = network_of(fd);
  if (network == nullptr) return real_recv(fd, into, size, flags);
  auto* stream = network->find<StreamFile>(fd);
  if (stream == nullptr) return fail_with(EBADF);
  const ssize_t count = stream->read(static_cast<char*>(into), size);
  return count >= 0 ? count : fail_with(static_cast<int>(-count));
}

ssize_t machine_sendmsg(int fd, const msghdr* message, int flags) {
  Network* network = network_of(fd);
  if (network == nullptr) return real_sendmsg(fd, message, flags);
  auto* stream = network->find<StreamFile>(fd);
  if (stream == nullptr) return fail_with(EBADF);
  std::string bytes;
  std::size_t left = stream->room();
  for (std::size_t i = 0; i < message->msg_iovlen && left > 0; ++i) {
    const iovec& part = message->msg_iov[i];
    const std::size_t step = std::min(left, part.iov_len);
    bytes.append(static_cast<const char*>(part.iov_base), step);
    left -= step;
  }
  const ssize_t count = stream->write(std::move(bytes));
  return count >= 0 ? count : fail_with(static_cast<int>(-count));
}

int machine_shutdown(int fd, int how) {
  Network* network = network_of(fd);
  if (network == nullptr) return real_shutdown(fd, how);
  if (auto* stream = network->find<StreamFile>(fd)) stream->shut_down();
  return 0;
}

}  // namespace calls

}  // namespace autoglm::simulation
