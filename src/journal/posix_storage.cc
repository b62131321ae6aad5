#include "journal/posix_storage.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace autoglm::journal {

namespace {

constexpr const char* kLockName = "lock";

std::unexpected<Error> system_failure(const std::string& doing, const std::string& path, int error) {
  return fail(
      error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
      "cannot " + doing + " " + path + ": " + std::error_code(error, std::generic_category()).message());
}

/// Calls again when a signal has interrupted the call.
template <class Call>
auto uninterrupted(const Call& call) {
  while (true) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

Result<void> checked(int result, const std::string& doing, const std::string& path) {
  if (result < 0) return system_failure(doing, path, errno);
  return {};
}

/// Closes the descriptor that nobody has released.
class OwnedDescriptor {
 public:
  explicit OwnedDescriptor(int descriptor) : descriptor_(descriptor) {}
  ~OwnedDescriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OwnedDescriptor(const OwnedDescriptor&) = delete;
  OwnedDescriptor& operator=(const OwnedDescriptor&) = delete;

  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

class PosixFile final : public StorageFile {
 public:
  PosixFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  ~PosixFile() override { ::close(descriptor_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Result<std::size_t> write(std::uint64_t offset, std::string_view bytes) override {
    const ssize_t written = uninterrupted(
        [&] { return ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (written < 0) return system_failure("write to", path_, errno);
    if (written == 0 && !bytes.empty()) return system_failure("write to", path_, EIO);
    return static_cast<std::size_t>(written);
  }
  Result<void> truncate(std::uint64_t size) override {
    return checked(uninterrupted([&] { return ::ftruncate(descriptor_, static_cast<off_t>(size)); }),
                   "shorten", path_);
  }
  Result<void> sync() override {
    return checked(uninterrupted([&] { return ::fdatasync(descriptor_); }), "sync", path_);
  }

 private:
  const int descriptor_;
  const std::string path_;
};

std::chrono::system_clock::time_point to_time(const timespec& time) {
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec)));
}

/// The descriptor of the lock file. Its content, the process's number, is for the message of the next one.
Result<int> lock_folder(const std::string& path) {
  const std::string name = path + "/" + kLockName;
  const int lock = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return system_failure("open", name, errno);
  if (uninterrupted([&] { return ::flock(lock, LOCK_EX | LOCK_NB); }) == 0) {
    const std::string number = std::to_string(::getpid()) + "\n";
    if (::ftruncate(lock, 0) != 0 || ::pwrite(lock, number.data(), number.size(), 0) < 0) {
      // On a full disk the message lacks the number; the lock holds without it.
    }
    return lock;
  }
  const int error = errno;
  char number[16] = {};
  const ssize_t size = ::pread(lock, number, sizeof number, 0);
  ::close(lock);
  if (error != EWOULDBLOCK) return system_failure("lock", name, error);
  std::string_view digits(number, static_cast<std::size_t>(size > 0 ? size : 0));
  digits = digits.substr(0, digits.find_first_not_of("0123456789"));
  return fail(ErrorCode::kUnavailable,
              "the journal " + path + " is in use by another process" +
                  (digits.empty() ? std::string() : " (" + std::string(digits) + ")") +
                  "; stop it, or give this one a journal.path of its own");
}

}  // namespace

PosixStorage::PosixStorage(std::string path, int folder, int lock)
    : path_(std::move(path)), folder_(folder), lock_(lock) {}

PosixStorage::~PosixStorage() {
  ::close(folder_);
  ::close(lock_);
}

Result<std::unique_ptr<PosixStorage>> PosixStorage::open(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  std::error_code ignored;  // mkdir() or open() reports what is wrong
  const auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, ignored);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return system_failure("make the journal's folder", path, errno);
  const auto locked = lock_folder(path);
  if (!locked) return fail(locked.error());
  OwnedDescriptor lock(*locked);
  OwnedDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return system_failure("open the journal's folder", path, errno);
  std::unique_ptr<PosixStorage> storage(new PosixStorage(std::move(path), folder.get(), lock.get()));
  folder.release();
  lock.release();
  return storage;
}

Result<std::vector<Storage::Entry>> PosixStorage::list() {
  std::vector<Entry> entries;
  std::error_code error;
  for (std::filesystem::directory_iterator at(path_, error), end; !error && at != end; at.increment(error)) {
    std::string name = at->path().filename().string();
    struct stat status{};
    if (::fstatat(folder_, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode))
      continue;
    entries.push_back({.name = std::move(name),
                       .size = static_cast<std::uint64_t>(status.st_size),
                       .modified = to_time(status.st_mtim)});
  }
  if (error) return system_failure("list", path_, error.value());
  return entries;
}

Result<std::string> PosixStorage::read(const std::string& name) {
  const OwnedDescriptor descriptor(::openat(folder_, name.c_str(), O_RDONLY | O_CLOEXEC));
  if (descriptor.get() < 0) return system_failure("open", path_of(name), errno);
  struct stat status{};
  std::string content;
  int error = ::fstat(descriptor.get(), &status) == 0 ? 0 : errno;
  if (error == 0) {
    content.resize_and_overwrite(
        static_cast<std::size_t>(status.st_size), [&](char* bytes, std::size_t size) {
          std::size_t done = 0;
          while (done < size) {
            const ssize_t count =
                uninterrupted([&] { return ::read(descriptor.get(), bytes + done, size - done); });
            if (count < 0) error = errno;
            if (count <= 0) break;
            done += static_cast<std::size_t>(count);
          }
          return done;
        });
  }
  if (error != 0) return system_failure("read", path_of(name), error);
  return content;
}

Result<std::unique_ptr<StorageFile>> PosixStorage::create(const std::string& name) {
  return open_for_writing(name, O_CREAT | O_TRUNC);
}

Result<std::unique_ptr<StorageFile>> PosixStorage::reopen(const std::string& name) {
  return open_for_writing(name, 0);
}

Result<std::unique_ptr<StorageFile>> PosixStorage::open_for_writing(const std::string& name, int flags) {
  OwnedDescriptor descriptor(
      ::openat(folder_, name.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600));
  if (descriptor.get() < 0) return system_failure("open", path_of(name), errno);
  auto file = std::make_unique<PosixFile>(descriptor.get(), path_of(name));
  descriptor.release();
  return file;
}

Result<void> PosixStorage::rename(const std::string& from, const std::string& to) {
  return checked(::renameat(folder_, from.c_str(), folder_, to.c_str()), "rename", path_of(from));
}

Result<void> PosixStorage::remove(const std::string& name) {
  return checked(::unlinkat(folder_, name.c_str(), 0), "remove", path_of(name));
}

Result<void> PosixStorage::sync() {
  return checked(uninterrupted([&] { return ::fsync(folder_); }), "sync", path_);
}

}  // namespace autoglm::journal
