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

/// Ends somebody's wait from any thread, once and for all.
class WakeUpCall {
 public:
  WakeUpCall();
  ~WakeUpCall();
  WakeUpCall(const WakeUpCall&) = delete;
  WakeUpCall& operator=(const WakeUpCall&) = delete;

  void ring() const;
  bool rung() const;
  /// Until it rings, or until then.
  void wait(MonotonicTime until) const;
  int fd() const { return fd_; }

 private:
  int fd_;
};

/// Another process of this program. It is given a text as its standard input and one end of a handover as
/// descriptor `kHandover`; what it says on standard output and error is read here; nothing else of ours is
/// open in it. Of one thread, which has to live as long as the process does (`die_with_parent`), and may
/// block. The destructor kills and buries what has not ended.
class ChildProcess {
 public:
  static constexpr int kHandover = 3;

  /// `arguments` begin with the name that the process shows. Errors: no memory, no processes left.
  static Result<std::unique_ptr<ChildProcess>> start(const std::vector<std::string>& arguments,
                                                     std::string_view input, std::string name);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  struct News {
    std::vector<std::string> lines;     ///< that it said
    std::vector<std::string> messages;  ///< that came through the handover
    std::optional<ProcessEnd> end;      ///< after which there is nothing more
  };
  /// Waits until there are some, `wake` rings (null: does not matter), or until then.
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
  bool quiet_ = false;      // its words have ended
  std::string unfinished_;  // of a line
  std::shared_ptr<HandoverDialer> dialer_;
  std::optional<MonotonicTime> ending_since_;
  bool buried_ = false;
};

/// In the other process, first of all: it is killed when the thread that started it ends, however that ends.
void die_with_parent();
/// Where the kernel runs out of memory, this process goes before others.
void go_first_when_memory_ends();

}  // namespace autoglm
