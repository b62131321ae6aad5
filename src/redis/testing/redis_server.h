#pragma once

#include "runtime/socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace autoglm::redis {

/// A real Redis server on a free port of loopback, which keeps nothing; ended with this object.
class RedisServer {
 public:
  RedisServer() {
    port_ = ListenAddress::take({"127.0.0.1", 0}, 1).value().address().port;
    const std::string port = std::to_string(port_);
    std::vector<const char*> words = {"redis-server",  "--port", port.c_str(),   "--bind", "127.0.0.1",
                                      "--save",        "",       "--appendonly", "no",     "--dir",
                                      folder_.c_str(), nullptr};
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    const int failed =
        ::posix_spawnp(&pid_, words[0], &files, nullptr, const_cast<char**>(words.data()), environ);
    posix_spawn_file_actions_destroy(&files);
    if (failed != 0) {
      pid_ = -1;
      ADD_FAILURE() << "redis-server is not installed (Debian's package redis-server)";
    }
  }
  ~RedisServer() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  bool runs() const { return pid_ > 0; }
  HostPort address() const { return {"127.0.0.1", port_}; }

 private:
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
  std::string folder_ = ::testing::TempDir();
};

}  // namespace autoglm::redis
