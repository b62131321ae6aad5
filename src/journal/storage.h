#pragma once

#include "base/result.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::journal {

/// A file that is written. Used by one thread at a time. Errors: kUnavailable, with the file's path and the
/// system's reason.
class StorageFile {
 public:
  virtual ~StorageFile() = default;
  /// Writes at `offset`, and returns how many bytes were written: at least one, perhaps not all.
  virtual Result<std::size_t> write(std::uint64_t offset, std::string_view bytes) = 0;
  virtual Result<void> truncate(std::uint64_t size) = 0;
  /// Returns when what was written survives a loss of power.
  virtual Result<void> sync() = 0;
};

/// A folder of files: the disk as the journal sees it, so that tests can inject its faults. Every call may
/// block. Thread-safe. Errors: kNotFound for a file that is not there, else kUnavailable.
class Storage {
 public:
  struct Entry {
    std::string name;
    std::uint64_t size = 0;
    std::chrono::system_clock::time_point modified = {};
  };

  virtual ~Storage() = default;
  virtual Result<std::vector<Entry>> list() = 0;
  /// The whole content.
  virtual Result<std::string> read(const std::string& name) = 0;
  /// A new file, or an old one made empty.
  virtual Result<std::unique_ptr<StorageFile>> create(const std::string& name) = 0;
  /// An existing file, unchanged.
  virtual Result<std::unique_ptr<StorageFile>> reopen(const std::string& name) = 0;
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> remove(const std::string& name) = 0;
  /// Returns when created, renamed and removed names survive a loss of power.
  virtual Result<void> sync() = 0;
};

}  // namespace autoglm::journal
