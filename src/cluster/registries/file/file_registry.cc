#include "cluster/registries/file/file_registry.h"

#include "cluster/registries/file/target_file.h"
#include "runtime/event_loop.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr std::int64_t kLargestFile = std::int64_t{16} << 20U;
// Between two looks at a file that has changed.
constexpr Duration kBetweenLooks = std::chrono::milliseconds(100);
// After so many looks that each found another state, it is one that changes all the time.
constexpr unsigned kMostLooks = 5;

/// Which file it is, and its state, by what the system says of it.
struct Seen {
  std::uint64_t device = 0, inode = 0;
  std::int64_t size = -1, modified = 0;
  int error = 0;

  bool operator==(const Seen&) const = default;
};

struct Read {
  Seen seen;
  std::optional<Result<std::vector<Instance>>> list;  // nothing: it is as it was
};

Seen look_at(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return {.error = errno};
  if (!S_ISREG(status.st_mode)) return {.error = EINVAL};  // a pipe would block for ever
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = status.st_size,
          .modified = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

/// `found`: what the last look found. A file that differs between two looks is being written. When that has
/// been so for long (`hurry`), one that was replaced is read all the same: it is whole.
Read read_if_changed(const std::string& path, const Seen& before, const Seen& found, bool hurry) {
  Read read{.seen = look_at(path), .list = std::nullopt};
  const bool is_whole = read.seen == found || (hurry && read.seen.inode != found.inode);
  if (read.seen == before || !is_whole) return read;
  const auto unreadable = [&](int error) {
    return fail(ErrorCode::kUnavailable, fmt::format("{}: {}", path, std::strerror(error)));
  };
  if (read.seen.error != 0) {
    read.list = unreadable(read.seen.error);
    return read;
  }
  if (read.seen.size > kLargestFile) {
    read.list =
        fail(ErrorCode::kInvalidArgument, fmt::format("{}: has more than {} bytes", path, kLargestFile));
    return read;
  }
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  read.list = file.bad() || !file.is_open() ? unreadable(errno) : read_target_file(path, text);
  // A write while it was read would go unnoticed until the next one.
  if (look_at(path) != read.seen) read = {};
  return read;
}

}  // namespace

config::Descriptor<FileConfig> describe_file_registry() {
  using C = FileConfig;
  return config::Descriptor<C>("file",
                               "A file of servers in the format of Prometheus' file_sd: JSON or YAML, "
                               "a list of groups with `targets` and `labels`.")
      .field("path", &C::path,
             {.doc = "The file. It may be a link that is swapped.",
              .example = "members.yaml",
              .min = 1,
              .required = true})
      .field("interval", &C::interval, {.doc = "How often it is looked at.", .min = 0.05, .max = 3600});
}

std::string asks(const FileConfig& config) {
  return fmt::format("read {}, looking every {} s", config.path, to_seconds(config.interval));
}

FileRegistry::FileRegistry(FileConfig config, BlockingPool& pool)
    : config_(std::move(config)), pool_(pool), name_("file " + config_.path) {}

Task<void> FileRegistry::run(RegistrySink& sink) {
  Seen taken;
  Seen found;
  unsigned looks = 0;  // that found something new, in a row
  while (true) {
    auto read = co_await pool_.run(
        [path = config_.path, taken, found, hurry = looks >= kMostLooks] {
          return read_if_changed(path, taken, found, hurry);
        },
        {.is_long = true});
    if (!read) {
      sink.fail(read.error());
      taken = {};
      co_await sleep_for(config_.interval);
      continue;
    }
    found = read->seen;
    looks = read->list || found == taken ? 0 : looks + 1;
    if (read->list) {
      taken = read->seen;
      if (*read->list) {
        sink.push(std::move(**read->list));
      } else {
        sink.fail(read->list->error());
      }
    }
    co_await sleep_for(found == taken ? config_.interval : std::min(config_.interval, kBetweenLooks));
  }
}

}  // namespace autoglm::cluster
