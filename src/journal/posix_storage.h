#pragma once

#include "journal/storage.h"

#include <memory>
#include <string>

namespace autoglm::journal {

/// A folder of the file system that no other process uses as a journal at the same time. Thread-safe.
class PosixStorage final : public Storage {
 public:
  /// Makes the folder, readable by its owner only, and locks it until the object is destroyed. Errors:
  /// kUnavailable when it cannot be made or another process has locked it.
  static Result<std::unique_ptr<PosixStorage>> open(std::string path);
  ~PosixStorage() override;
  PosixStorage(const PosixStorage&) = delete;
  PosixStorage& operator=(const PosixStorage&) = delete;

  Result<std::vector<Entry>> list() override;
  Result<std::string> read(const std::string& name) override;
  Result<std::unique_ptr<StorageFile>> create(const std::string& name) override;
  Result<std::unique_ptr<StorageFile>> reopen(const std::string& name) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> remove(const std::string& name) override;
  Result<void> sync() override;

 private:
  PosixStorage(std::string path, int folder, int lock);
  Result<std::unique_ptr<StorageFile>> open_for_writing(const std::string& name, int flags);
  std::string path_of(const std::string& name) const { return path_ + "/" + name; }

  const std::string path_;
  const int folder_;  // descriptors
  const int lock_;
};

}  // namespace autoglm::journal
