#include "engine/models/cache_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

namespace autoglm::engine {

namespace fs = std::filesystem;

namespace {

Error unusable(const fs::path& folder, int code) {
  return Error{.code = ErrorCode::kUnavailable,
               .message = fmt::format("{} cannot be written to: {}; set XDG_CACHE_HOME to a folder that can",
                                      folder.string(), std::strerror(code))};
}

/// Whether the lock's file still exists: removing a folder removes it, and then the lock is of no use.
bool is_there(int file, const fs::path& path) {
  struct stat held{};
  struct stat there{};
  return ::fstat(file, &held) == 0 && ::stat(path.c_str(), &there) == 0 && held.st_ino == there.st_ino &&
         held.st_dev == there.st_dev;
}

}  // namespace

Result<std::optional<CacheLock>> CacheLock::try_take(const fs::path& folder) {
  const fs::path path = folder / kFile;
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return fail(unusable(folder, error.value()));
    FileHandle file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (file.get() < 0 && errno == ENOENT) continue;
    if (file.get() < 0) return fail(unusable(folder, errno));
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return std::optional<CacheLock>();
      if (errno == EINTR) continue;
      return fail(unusable(folder, errno));
    }
    if (!is_there(file.get(), path)) continue;
    const std::string owner = std::to_string(::getpid()) + "\n";
    if (::ftruncate(file.get(), 0) != 0 || ::pwrite(file.get(), owner.data(), owner.size(), 0) < 0)
      return fail(unusable(folder, errno));
    return std::optional<CacheLock>(CacheLock(std::move(file)));
  }
  return fail(unusable(folder, EAGAIN));
}

std::string CacheLock::holder(const fs::path& folder) {
  std::ifstream file(folder / kFile);
  long process = 0;
  return file >> process ? fmt::format("process {}", process) : "another process";
}

bool CacheLock::is_held(const fs::path& folder) {
  const FileHandle file(::open((folder / kFile).c_str(), O_RDONLY | O_CLOEXEC));
  return file.get() >= 0 && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace autoglm::engine
