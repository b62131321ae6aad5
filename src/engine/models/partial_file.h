#pragma once

#include "base/result.h"
#include "engine/models/file_handle.h"
#include "engine/models/transfer.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace autoglm::engine {

/// An incomplete file: `NAME.partial`, a note beside it about the file it will be, and the running sha256.
/// Becomes `NAME` only by `commit`. The owner must hold the folder's lock. Blocks; one thread. Errors:
/// kResourceExhausted when the disk is full, kUnavailable for other disk failures; both keep the file.
class PartialFile {
 public:
  static constexpr std::string_view kSuffix = ".partial";
  static constexpr std::string_view kNoteSuffix = ".partial.note";

  /// Opens what is there of `target`, or makes an empty file.
  static Result<PartialFile> open(std::filesystem::path target);
  PartialFile(PartialFile&&) noexcept;
  PartialFile& operator=(PartialFile&&) noexcept;
  ~PartialFile();

  std::uint64_t bytes() const { return bytes_; }
  const PartialNote& note() const { return note_; }

  Result<void> append(std::string_view bytes);
  /// Empties the file, and notes what it will be a part of.
  Result<void> begin(PartialNote note);
  /// Reads some MiB of the bytes that were there at opening, for the digest; true when none are left.
  Result<bool> read_on();
  /// The digest of all bytes, in hex; they must all have been read.
  std::string sha256() const;

  /// Makes the file durable, and gives it its name.
  Result<void> commit();
  /// Removes the file.
  void discard();

 private:
  struct Digest;
  PartialFile(std::filesystem::path target, FileHandle file);
  Error failure(std::string_view what) const;
  std::filesystem::path beside(std::string_view suffix) const;

  std::filesystem::path target_;
  FileHandle file_;
  std::uint64_t bytes_ = 0;
  std::uint64_t read_ = 0;  // of those, read by the digest
  PartialNote note_;
  std::unique_ptr<Digest> digest_;
};

/// Bytes that may still be written to the file system of `folder`; nothing if it does not tell.
std::optional<std::uint64_t> free_bytes(const std::filesystem::path& folder);

/// "94.1 MiB".
std::string shown_bytes(std::uint64_t bytes);

}  // namespace autoglm::engine
