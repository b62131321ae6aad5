#include "center/kept_copy.h"

#include "base/json_string.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <system_error>
#include <utility>

namespace autoglm::center {

namespace {

constexpr std::string_view kMark = "# kept by open-autoglm: ";

std::string first_line(std::string_view name, std::string_view version) {
  return fmt::format("{}{}, version {}\n", kMark, json_string(name), json_string(version));
}

std::unexpected<Error> failed(const std::string& path, int error) {
  return fail(ErrorCode::kUnavailable, fmt::format("{}: {}", path, std::strerror(error)));
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

/// All of it, down to the disk: after a loss of power there is the old file or the new one.
Result<void> write_file(const std::string& path, std::string_view bytes) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return failed(path, errno);
  const std::unique_ptr<std::FILE, CloseFile> file(::fdopen(descriptor, "w"));
  if (!file) {
    const int error = errno;
    ::close(descriptor);
    return failed(path, error);
  }
  if (std::fwrite(bytes.data(), 1, bytes.size(), file.get()) != bytes.size() ||
      std::fflush(file.get()) != 0 || ::fsync(descriptor) != 0)
    return failed(path, errno);
  return {};
}

}  // namespace

Result<std::optional<Version>> KeptCopy::read() const {
  std::error_code error;
  if (!std::filesystem::exists(path_, error) && !error) return std::optional<Version>();
  errno = 0;
  std::ifstream file(path_, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file.is_open() || file.bad()) return failed(path_, errno);
  const std::size_t end = text.find('\n');
  const std::string begin = first_line(name_, "");
  // Another document's copy is none of ours.
  const std::string_view ours = std::string_view(begin).substr(0, begin.size() - 2);
  if (end == std::string::npos || !text.starts_with(ours)) return std::optional<Version>();
  std::string version = text.substr(ours.size(), end - ours.size());
  if (version.ends_with('"')) version.pop_back();
  return Version{.text = text.substr(end + 1), .version = std::move(version)};
}

Result<void> KeptCopy::write(const Version& version) const {
  const std::filesystem::path path(path_);
  std::error_code error;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (error) return failed(path.parent_path().string(), error.value());
  // Another process of ours may write its own at the same time.
  const std::string fresh = fmt::format("{}.{}", path_, ::getpid());
  auto written = write_file(fresh, first_line(name_, version.version) + version.text);
  if (written && std::rename(fresh.c_str(), path_.c_str()) != 0) written = failed(path_, errno);
  if (!written) std::filesystem::remove(fresh, error);  // a full disk needs the room
  return written;
}

}  // namespace autoglm::center
