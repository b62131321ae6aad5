#include "journal/testing/faulty_storage.h"

#include <algorithm>
#include <utility>

namespace autoglm::journal {

namespace {

std::unexpected<Error> fault(const char* what) { return fail(ErrorCode::kUnavailable, what); }

class FaultyFile final : public StorageFile {
 public:
  FaultyFile(std::unique_ptr<StorageFile> file, std::shared_ptr<DiskFaults> faults)
      : file_(std::move(file)), faults_(std::move(faults)) {}

  Result<std::size_t> write(std::uint64_t offset, std::string_view bytes) override {
    const std::size_t allowed = faults_->allow_write(bytes.size());
    if (allowed == 0) return fault("cannot write: No space left on device");
    return file_->write(offset, bytes.substr(0, allowed));
  }
  Result<void> truncate(std::uint64_t size) override {
    if (!faults_->allow_truncate()) return fault("cannot shorten: Input/output error");
    return file_->truncate(size);
  }
  Result<void> sync() override {
    if (!faults_->allow_sync()) return fault("cannot sync: Input/output error");
    return file_->sync();
  }

 private:
  std::unique_ptr<StorageFile> file_;
  std::shared_ptr<DiskFaults> faults_;
};

class FaultyStorage final : public Storage {
 public:
  FaultyStorage(std::unique_ptr<Storage> storage, std::shared_ptr<DiskFaults> faults)
      : storage_(std::move(storage)), faults_(std::move(faults)) {}

  Result<std::vector<Entry>> list() override { return storage_->list(); }
  Result<std::string> read(const std::string& name) override {
    if (!faults_->allow_read()) return fault("cannot read: Input/output error");
    return storage_->read(name);
  }
  Result<std::unique_ptr<StorageFile>> create(const std::string& name) override {
    return wrap(storage_->create(name));
  }
  Result<std::unique_ptr<StorageFile>> reopen(const std::string& name) override {
    return wrap(storage_->reopen(name));
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    return storage_->rename(from, to);
  }
  Result<void> remove(const std::string& name) override { return storage_->remove(name); }
  Result<void> sync() override { return storage_->sync(); }

 private:
  Result<std::unique_ptr<StorageFile>> wrap(Result<std::unique_ptr<StorageFile>> file) {
    if (!file) return file;
    return std::make_unique<FaultyFile>(std::move(*file), faults_);
  }

  std::unique_ptr<Storage> storage_;
  std::shared_ptr<DiskFaults> faults_;
};

}  // namespace

std::size_t DiskFaults::allow_write(std::size_t bytes) {
  std::unique_lock lock(mutex_);
  ++writes_;
  if (stalled_) {
    ++stalled_writes_;
    released_.wait(lock, [this] { return !stalled_; });
  }
  const std::uint64_t allowed = std::min<std::uint64_t>({bytes, free_bytes_, longest_write_});
  if (free_bytes_ != kNoLimit) free_bytes_ -= allowed;
  return static_cast<std::size_t>(allowed);
}

bool DiskFaults::allow_sync() {
  const std::scoped_lock lock(mutex_);
  ++syncs_;
  return !sync_fails_;
}

std::unique_ptr<Storage> make_faulty(std::unique_ptr<Storage> storage, std::shared_ptr<DiskFaults> faults) {
  return std::make_unique<FaultyStorage>(std::move(storage), std::move(faults));
}

}  // namespace autoglm::journal
