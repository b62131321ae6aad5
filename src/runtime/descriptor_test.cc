#include "runtime/descriptor.h"

#include "runtime/event_loop_core.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <optional>
#include <string>

namespace autoglm {
namespace {

/// How many descriptors the kernel watches for a loop.
int watched(const EventLoop& loop) {
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(loop.core().epoll));
  int count = 0;
  for (std::string line; std::getline(info, line);) count += line.starts_with("tfd:") ? 1 : 0;
  return count;
}

TEST(Descriptor, IsNotWatchedOnceItIsClosedAlsoWhereSomebodyElseHasTheSameSocket) {
  EventLoop loop;
  const int before = watched(loop);
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
  const int shared = ::dup(ends[0]);  // as in a process that is just being started
  std::optional<Descriptor> descriptor;
  loop.post([&] {
    descriptor.emplace(loop, ends[0]);
    EXPECT_EQ(watched(loop), before + 1);
    descriptor.reset();
    EXPECT_EQ(watched(loop), before);
    loop.stop();
  });
  loop.run();
  ::close(shared);
  ::close(ends[1]);
}

}  // namespace
}  // namespace autoglm
