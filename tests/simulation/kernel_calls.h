#pragma once

#include "base/clock.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <condition_variable>
#include <cstddef>
#include <ctime>
#include <mutex>
#include <random>
#include <thread>

/// A function that programs call, by its symbol: `--wrap=symbol` gives callers ours, and us the host's.
#define AUTOGLM_EXCHANGED(result, name, symbol, ...)     \
  result real_##name(__VA_ARGS__) asm("__real_" symbol); \
  result machine_##name(__VA_ARGS__) asm("__wrap_" symbol)

/// The calls that a simulated machine answers. `wrapped_calls.txt` lists the same symbols for the linker.
namespace autoglm::simulation::calls {

AUTOGLM_EXCHANGED(MonotonicTime, steady_now, "_ZNSt6chrono3_V212steady_clock3nowEv", );
AUTOGLM_EXCHANGED(std::chrono::system_clock::time_point, system_now,
                  "_ZNSt6chrono3_V212system_clock3nowEv", );
AUTOGLM_EXCHANGED(std::time_t, time, "time", std::time_t* into);
AUTOGLM_EXCHANGED(int, clock_gettime, "clock_gettime", clockid_t clock, timespec* into);
AUTOGLM_EXCHANGED(unsigned, entropy, "_ZNSt13random_device9_M_getvalEv", std::random_device* device);

AUTOGLM_EXCHANGED(void, start_thread,
                  "_ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE",
                  std::thread* thread, std::thread::_State_ptr state, void (*depend)());
AUTOGLM_EXCHANGED(void, join_thread, "_ZNSt6thread4joinEv", std::thread* thread);
AUTOGLM_EXCHANGED(void, condition_wait, "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE",
                  std::condition_variable* condition, std::unique_lock<std::mutex>& lock);
AUTOGLM_EXCHANGED(void, notify_one, "_ZNSt18condition_variable10notify_oneEv",
                  std::condition_variable* condition);
AUTOGLM_EXCHANGED(void, notify_all, "_ZNSt18condition_variable10notify_allEv",
                  std::condition_variable* condition);
AUTOGLM_EXCHANGED(int, condition_wait_until, "pthread_cond_clockwait", pthread_cond_t* condition,
                  pthread_mutex_t* mutex, clockid_t clock, const timespec* until);

AUTOGLM_EXCHANGED(int, epoll_create1, "epoll_create1", int flags);
AUTOGLM_EXCHANGED(int, epoll_ctl, "epoll_ctl", int epoll, int operation, int fd, epoll_event* event);
AUTOGLM_EXCHANGED(int, epoll_wait, "epoll_wait", int epoll, epoll_event* events, int most, int milliseconds);
AUTOGLM_EXCHANGED(int, epoll_pwait2, "epoll_pwait2", int epoll, epoll_event* events, int most,
                  const timespec* timeout, const sigset_t* mask);
AUTOGLM_EXCHANGED(int, eventfd, "eventfd", unsigned count, int flags);
AUTOGLM_EXCHANGED(int, eventfd_write, "eventfd_write", int fd, eventfd_t value);
AUTOGLM_EXCHANGED(int, close, "close", int fd);

AUTOGLM_EXCHANGED(int, socket, "socket", int domain, int type, int protocol);
AUTOGLM_EXCHANGED(int, bind, "bind", int fd, const sockaddr* address, socklen_t length);
AUTOGLM_EXCHANGED(int, listen, "listen", int fd, int backlog);
AUTOGLM_EXCHANGED(int, getsockname, "getsockname", int fd, sockaddr* address, socklen_t* length);
AUTOGLM_EXCHANGED(int, setsockopt, "setsockopt", int fd, int level, int name, const void* value,
                  socklen_t length);
AUTOGLM_EXCHANGED(int, getsockopt, "getsockopt", int fd, int level, int name, void* value, socklen_t* length);
AUTOGLM_EXCHANGED(int, connect, "connect", int fd, const sockaddr* address, socklen_t length);
AUTOGLM_EXCHANGED(int, accept4, "accept4", int fd, sockaddr* address, socklen_t* length, int flags);
AUTOGLM_EXCHANGED(ssize_t, recv, "recv", int fd, void* into, std::size_t size, int flags);
AUTOGLM_EXCHANGED(ssize_t, sendmsg, "sendmsg", int fd, const msghdr* message, int flags);
AUTOGLM_EXCHANGED(int, shutdown, "shutdown", int fd, int how);

}  // namespace autoglm::simulation::calls
