#include "engine/models/partial_file.h"

#include "base/assert.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

namespace autoglm::engine {

namespace fs = std::filesystem;

struct PartialFile::Digest {
  Digest() : context(EVP_MD_CTX_new()) { restart(); }
  ~Digest() { EVP_MD_CTX_free(context); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void restart() { AUTOGLM_ASSERT(EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1, "no sha256"); }
  void add(std::string_view bytes) { EVP_DigestUpdate(context, bytes.data(), bytes.size()); }

  EVP_MD_CTX* context;
};

PartialFile::PartialFile(fs::path target, FileHandle file)
    : target_(std::move(target)), file_(std::move(file)), digest_(std::make_unique<Digest>()) {}
PartialFile::PartialFile(PartialFile&&) noexcept = default;
PartialFile& PartialFile::operator=(PartialFile&&) noexcept = default;
PartialFile::~PartialFile() = default;

fs::path PartialFile::beside(std::string_view suffix) const {
  fs::path path = target_;
  path += suffix;
  return path;
}

Error PartialFile::failure(std::string_view what) const {
  const int code = errno;
  const bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  return Error{
      .code = full ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable,
      .message = fmt::format("cannot {} {}: {}{}", what, beside(kSuffix).string(), std::strerror(code),
                             full ? "; make room and try again: what has arrived is kept" : "")};
}

Result<PartialFile> PartialFile::open(fs::path target) {
  fs::path path = target;
  path += kSuffix;
  FileHandle file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  PartialFile partial(std::move(target), std::move(file));
  struct stat facts{};
  if (partial.file_.get() < 0 || ::fstat(partial.file_.get(), &facts) != 0)
    return fail(partial.failure("open"));
  partial.bytes_ = static_cast<std::uint64_t>(facts.st_size);
  std::ifstream note(partial.beside(kNoteSuffix));
  partial.note_ = PartialNote::parse(std::string(std::istreambuf_iterator<char>(note), {}));
  return partial;
}

Result<void> PartialFile::append(std::string_view bytes) {
  AUTOGLM_ASSERT(read_ == bytes_, "what was there is read first");
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const ssize_t written = ::pwrite(file_.get(), rest.data(), rest.size(),
                                     static_cast<off_t>(bytes_ + bytes.size() - rest.size()));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const Error error = failure("write");
      // Bytes of this call that were already written would be missing from the digest.
      static_cast<void>(::ftruncate(file_.get(), static_cast<off_t>(bytes_)));
      return fail(error);
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  bytes_ += bytes.size();
  read_ = bytes_;
  digest_->add(bytes);
  return {};
}

Result<void> PartialFile::begin(PartialNote note) {
  if (::ftruncate(file_.get(), 0) != 0) return fail(failure("empty"));
  bytes_ = read_ = 0;
  digest_->restart();
  note_ = std::move(note);
  std::ofstream file(beside(kNoteSuffix), std::ios::trunc);
  file << note_.to_text();
  file.close();
  if (!file) return fail(failure("write the note of"));
  return {};
}

Result<bool> PartialFile::read_on() {
  std::vector<char> buffer(std::size_t{1} << 20);
  for (int i = 0; i < 16 && read_ < bytes_; ++i) {
    const std::size_t step = std::min<std::uint64_t>(buffer.size(), bytes_ - read_);
    const ssize_t count = ::pread(file_.get(), buffer.data(), step, static_cast<off_t>(read_));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return fail(failure("read"));
    digest_->add({buffer.data(), static_cast<std::size_t>(count)});
    read_ += static_cast<std::uint64_t>(count);
  }
  return read_ == bytes_;
}

std::string PartialFile::sha256() const {
  AUTOGLM_ASSERT(read_ == bytes_, "not all of it was read");
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned length = 0;
  const Digest copy;
  AUTOGLM_ASSERT(EVP_MD_CTX_copy_ex(copy.context, digest_->context) == 1, "no memory for a digest");
  EVP_DigestFinal_ex(copy.context, bytes.data(), &length);
  std::string out;
  for (unsigned i = 0; i < length; ++i) fmt::format_to(std::back_inserter(out), "{:02x}", bytes[i]);
  return out;
}

Result<void> PartialFile::commit() {
  if (::fsync(file_.get()) != 0) return fail(failure("make durable"));
  if (::rename(beside(kSuffix).c_str(), target_.c_str()) != 0) return fail(failure("rename"));
  const FileHandle folder(::open(target_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) return fail(failure("make durable"));
  std::error_code ignored;
  fs::remove(beside(kNoteSuffix), ignored);
  return {};
}

void PartialFile::discard() {
  std::error_code ignored;
  fs::remove(beside(kSuffix), ignored);
  fs::remove(beside(kNoteSuffix), ignored);
}

std::optional<std::uint64_t> free_bytes(const fs::path& folder) {
  struct statvfs facts{};
  if (::statvfs(folder.c_str(), &facts) != 0 || facts.f_frsize == 0) return std::nullopt;
  return static_cast<std::uint64_t>(facts.f_bavail) * facts.f_frsize;
}

std::string shown_bytes(std::uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes < 1024) return fmt::format("{} B", bytes);
  if (bytes < 1024ULL * 1024) return fmt::format("{:.1f} KiB", value / 1024);
  if (bytes < 1024ULL * 1024 * 1024) return fmt::format("{:.1f} MiB", value / (1024 * 1024));
  return fmt::format("{:.2f} GiB", value / (1024 * 1024 * 1024));
}

}  // namespace autoglm::engine
