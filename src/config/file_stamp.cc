#include "config/file_stamp.h"

#include <sys/stat.h>

namespace autoglm::config {

FileStamp stamp_of(const std::string& path) {
  struct stat now{};
  if (::stat(path.c_str(), &now) != 0) return {};
  return {.inode = now.st_ino,
          .device = now.st_dev,
          .size = now.st_size,
          .modified = now.st_mtim.tv_sec * 1'000'000'000 + now.st_mtim.tv_nsec};
}

}  // namespace autoglm::config
