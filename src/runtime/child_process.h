#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "runtime/handover.h"

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm {

/// How a process ended.
struct ProcessEnd {
  int exit_code = 0;
  int signal = 0;  ///< 0: it ended by itself

  /// "killed by signal 9 (SIGKILL)", "ended with exit code 3".
  std::string describe() const;
  /// "SIGKILL", "exit_3": for metrics.
  std::string label() const;
};

/// Ends another thread's wait, once, from any thread.
class WakeUpCall {
 public:
  WakeUpCall();
  ~WakeUpCall();
  WakeUpCall(const WakeUpCall&) = delete;
  WakeUpCall& operator=(const WakeUpCall&) = delete;

  void ring() const;
  bool rung() const;
  /// Waits until it rings or `until` passes.
  void wait(MonotonicTime until) const;
  int fd() const { return fd_; }

 private:
  int fd_;
};

/// Another process that runs this program. It gets a text as its standard input and one end of a handover as
/// descriptor `kHandover`; this end reads its standard output and error; no other descriptor of ours is open
/// in it. One thread owns it and must live as long as the process does (see `die_with_parent`); that thread
/// may block. The destructor kills and reaps a process that has not ended.
class ChildProcess {
 public:
  static constexpr int kHandover = 3;

  /// `arguments` begin with the name that the process shows. Errors: out of memory or of processes.
  static Result<std::unique_ptr<ChildProcess>> start(const std::vector<std::string>& arguments,
                                                     std::string_view input, std::string name);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  struct News {
    std::vector<std::string> lines;     ///< of its output
    std::vector<std::string> messages;  ///< from the handover
    std::optional<ProcessEnd> end;      ///< nothing follows it
  };
  /// Waits until there is news, `wake` rings (null: ignored), or `until` passes.
  News wait(const WakeUpCall* wake, MonotonicTime until);

  void kill() const;
  pid_t pid() const { return pid_; }
  const std::shared_ptr<HandoverDialer>& dialer() const { return dialer_; }

 private:
  ChildProcess(pid_t pid, Socket words, std::shared_ptr<HandoverDialer> dialer);
  void read_words(std::vector<std::string>& lines);
  std::optional<ProcessEnd> bury();

  pid_t pid_;
  Socket words_;
  bool quiet_ = false;      // its output has ended
  std::string unfinished_;  // an unfinished line
  std::shared_ptr<HandoverDialer> dialer_;
  std::optional<MonotonicTime> ending_since_;
  bool buried_ = false;
};

/// Called first in the other process: has it killed when the thread that started it ends, however it ends.
void die_with_parent();
/// Makes the kernel kill this process before others when memory runs out.
void go_first_when_memory_ends();

}  // namespace autoglm
