#include "observe/log/log_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <system_error>
#include <utility>

namespace autoglm::observe {

namespace {

Result<int> open_for_appending(const std::string& path) {
  std::error_code ignored;  // open() reports what is wrong
  const auto folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (descriptor >= 0) return descriptor;
  return fail(ErrorCode::kUnavailable, "cannot open the log " + path + ": " +
                                           std::error_code(errno, std::generic_category()).message());
}

bool is_regular(int descriptor) {
  struct stat status{};
  return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

LogFile::LogFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

LogFile::~LogFile() {
  if (!path_.empty()) ::close(descriptor_);
}

Result<std::unique_ptr<LogFile>> LogFile::open(std::string path) {
  if (path.empty()) return std::unique_ptr<LogFile>(new LogFile({}, STDERR_FILENO));
  const auto descriptor = open_for_appending(path);
  if (!descriptor) return fail(descriptor.error());
  return std::unique_ptr<LogFile>(new LogFile(std::move(path), *descriptor));
}

Result<void> LogFile::reopen() {
  if (path_.empty()) return {};
  const auto fresh = open_for_appending(path_);
  if (!fresh) return fail(fresh.error());
  // The descriptor keeps its number, so the writing thread needs no lock: each write goes to one of the
  // files.
  const bool replaced = ::dup3(*fresh, descriptor_, O_CLOEXEC) >= 0;
  const int why = errno;
  ::close(*fresh);
  if (replaced) return {};
  return fail(ErrorCode::kUnavailable, "cannot reopen the log " + path_ + ": " +
                                           std::error_code(why, std::generic_category()).message());
}

void LogFile::write(std::string_view lines) {
  const std::string_view left = write_some(lines);
  lost_.fetch_add(static_cast<std::uint64_t>(std::ranges::count(left, '\n')), std::memory_order_relaxed);
}

/// Returns the part that could not be written.
std::string_view LogFile::write_some(std::string_view lines) {
  // A file takes all lines at once. A pipe that polls as writable takes only PIPE_BUF bytes without blocking.
  const bool regular = is_regular(descriptor_);
  while (!lines.empty()) {
    if (!regular && !wait_writable()) return lines;
    const std::size_t size = regular ? lines.size() : std::min<std::size_t>(lines.size(), PIPE_BUF);
    const ssize_t written = ::write(descriptor_, lines.data(), size);
    if (written < 0 && errno != EINTR && errno != EAGAIN) return lines;
    if (written > 0) lines.remove_prefix(static_cast<std::size_t>(written));
  }
  return lines;
}

bool LogFile::wait_writable() const {
  constexpr int kLookAgainMs = 100;  // checks whether the deadline has been set meanwhile
  while (true) {
    pollfd waiting{.fd = descriptor_, .events = POLLOUT, .revents = 0};
    const bool late = SteadyClock().now() >= deadline_.load(std::memory_order_relaxed);
    const int ready = ::poll(&waiting, 1, late ? 0 : kLookAgainMs);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
    if (late) return false;
  }
}

}  // namespace autoglm::observe
