#include "runtime/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <system_error>

namespace autoglm {

namespace {

constexpr std::size_t kMaxLine = 64 * 1024;
constexpr std::size_t kLinesAtOnce = 1000;
constexpr int kLowest = 10;  // above the numbers that the other process gets
// A process that closes its descriptors is about to end; one that lingers is killed.
constexpr Duration kEndsWithin = std::chrono::seconds(10);
constexpr Duration kLookAgain = std::chrono::milliseconds(2);
constexpr int kOomScore = 500;  // of 1000: as if the process used half of all memory more

Error start_error(std::string_view what, int error) {
  return Error{.code = ErrorCode::kUnavailable,
               .message = std::string(what) + ": " + std::system_category().message(error)};
}

/// The same descriptor with a number that the other process does not use.
Socket moved_up(const Socket& socket) { return Socket(::fcntl(socket.fd(), F_DUPFD_CLOEXEC, kLowest)); }

/// A file in memory that holds `text`.
Result<Socket> file_of(std::string_view text) {
  Socket file(::memfd_create("input", MFD_CLOEXEC));
  if (file.fd() < 0) return fail(start_error("memfd_create", errno));
  while (!text.empty()) {
    const ssize_t count = ::write(file.fd(), text.data(), text.size());
    if (count < 0 && errno != EINTR) return fail(start_error("writing a process's input", errno));
    text.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  }
  ::lseek(file.fd(), 0, SEEK_SET);
  return file;
}

int poll_timeout(MonotonicTime until) {
  const auto now = std::chrono::steady_clock::now();
  if (until <= now) return 0;
  const auto left = std::min<Duration>(until - now, std::chrono::hours(1));
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
}

/// posix_spawn's attributes and actions, which must be destroyed.
struct SpawnPlan {
  posix_spawnattr_t attributes{};
  posix_spawn_file_actions_t actions{};
  SpawnPlan() {
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_init(&actions);
  }
  ~SpawnPlan() {
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
};

/// posix_spawn, not fork: no code of ours runs in a copy of a process that has many threads.
Result<pid_t> spawn(const std::vector<std::string>& arguments, int input, int words, int handover) {
  SpawnPlan plan;
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&plan.attributes, &none);
  // A separate process group: Ctrl-C in a terminal is for this process, which drains first.
  ::posix_spawnattr_setpgroup(&plan.attributes, 0);
  ::posix_spawnattr_setflags(&plan.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  ::posix_spawn_file_actions_adddup2(&plan.actions, input, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&plan.actions, words, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&plan.actions, words, STDERR_FILENO);
  ::posix_spawn_file_actions_adddup2(&plan.actions, handover, ChildProcess::kHandover);
  // All of our descriptors close on exec; those of libraries might not.
  ::posix_spawn_file_actions_addclosefrom_np(&plan.actions, ChildProcess::kHandover + 1);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t pid = 0;
  // The very file that runs here, even if another version has replaced it on disk.
  if (const int error =
          ::posix_spawn(&pid, "/proc/self/exe", &plan.actions, &plan.attributes, argv.data(), ::environ))
    return fail(start_error("starting a process", error));
  return pid;
}

}  // namespace

std::string ProcessEnd::describe() const {
  if (signal == 0) return "ended with exit code " + std::to_string(exit_code);
  return "killed by signal " + std::to_string(signal) + " (" + label() + ")";
}

std::string ProcessEnd::label() const {
  if (signal == 0) return "exit_" + std::to_string(exit_code);
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "signal_" + std::to_string(signal);
}

WakeUpCall::WakeUpCall() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
WakeUpCall::~WakeUpCall() {
  if (fd_ >= 0) ::close(fd_);
}
void WakeUpCall::ring() const { ::eventfd_write(fd_, 1); }
bool WakeUpCall::rung() const {
  pollfd entry{.fd = fd_, .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 0) > 0;
}
void WakeUpCall::wait(MonotonicTime until) const {
  pollfd entry{.fd = fd_, .events = POLLIN, .revents = 0};
  ::poll(&entry, 1, poll_timeout(until));
}

ChildProcess::ChildProcess(pid_t pid, Socket words, std::shared_ptr<HandoverDialer> dialer)
    : pid_(pid), words_(std::move(words)), dialer_(std::move(dialer)) {}

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(const std::vector<std::string>& arguments,
                                                          std::string_view input, std::string name) {
  ::signal(SIGCHLD, SIG_DFL);  // if ignored, as some supervisors leave it, the exit status would be lost
  auto text = file_of(input);
  if (!text) return fail(text.error());
  auto handover = make_handover();
  if (!handover) return fail(handover.error());
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return fail(start_error("making a pipe", errno));
  Socket words(pipe[0]);
  const Socket their_words(pipe[1]);
  ::fcntl(words.fd(), F_SETFL, O_NONBLOCK);
  const Socket inputs[] = {moved_up(*text), moved_up(their_words), moved_up(handover->second)};
  if (std::ranges::any_of(inputs, [](const Socket& each) { return each.fd() < 0; }))
    return fail(start_error("starting a process", EMFILE));
  const auto pid = spawn(arguments, inputs[0].fd(), inputs[1].fd(), inputs[2].fd());
  if (!pid) return fail(pid.error());
  return std::unique_ptr<ChildProcess>(new ChildProcess(
      *pid, std::move(words), std::make_shared<HandoverDialer>(handover->first.take(), std::move(name))));
}

ChildProcess::~ChildProcess() {
  if (buried_) return;
  kill();
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void ChildProcess::kill() const {
  if (!buried_) ::kill(pid_, SIGKILL);
}

void ChildProcess::read_words(std::vector<std::string>& lines) {
  std::array<char, 16 * 1024> buffer;
  while (!quiet_) {
    const ssize_t count = ::read(words_.fd(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return;
    quiet_ = count == 0;
    unfinished_.append(buffer.data(), static_cast<std::size_t>(count));
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = unfinished_.find('\n', begin)) != std::string::npos; begin = end + 1)
      lines.push_back(unfinished_.substr(begin, end - begin));
    unfinished_.erase(0, begin);
    if ((quiet_ && !unfinished_.empty()) || unfinished_.size() > kMaxLine)
      lines.push_back(std::exchange(unfinished_, {}));
    if (lines.size() > kLinesAtOnce && !buried_) return;
  }
}

std::optional<ProcessEnd> ChildProcess::bury() {
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  buried_ = true;
  if (WIFSIGNALED(status)) return ProcessEnd{.signal = WTERMSIG(status)};
  return ProcessEnd{.exit_code = WEXITSTATUS(status)};
}

ChildProcess::News ChildProcess::wait(const WakeUpCall* wake, MonotonicTime until) {
  // Its descriptors close a moment before it can be reaped.
  const bool ending = quiet_ || dialer_->gone();
  const auto now = std::chrono::steady_clock::now();
  if (ending && !ending_since_) ending_since_ = now;
  if (ending) until = std::min(until, now + kLookAgain);
  if (ending && now - *ending_since_ > kEndsWithin) kill();
  // poll() skips negative descriptors; an ended source would be reported again and again.
  std::array<pollfd, 3> entries{{{.fd = wake == nullptr ? -1 : wake->fd(), .events = POLLIN, .revents = 0},
                                 {.fd = quiet_ ? -1 : words_.fd(), .events = POLLIN, .revents = 0},
                                 {.fd = ending ? -1 : dialer_->fd(), .events = POLLIN, .revents = 0}}};
  ::poll(entries.data(), entries.size(), poll_timeout(until));
  News news;
  if (ending) news.end = bury();
  read_words(news.lines);
  while (auto message = dialer_->take_message()) news.messages.push_back(std::move(*message));
  return news;
}

void die_with_parent() { ::prctl(PR_SET_PDEATHSIG, SIGKILL); }

void go_first_when_memory_ends() {
  int score = 0;
  std::ifstream("/proc/self/oom_score_adj") >> score;
  std::ofstream("/proc/self/oom_score_adj") << std::min(1000, score + kOomScore);
}

}  // namespace autoglm
