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

/// A file that is not whole yet: `NAME.partial`, beside it a note of what it is a part of, and its sha256 as
/// far as it goes. Becomes `NAME` by `commit` alone. Whoever has one holds the folder's lock. Blocks; one
/// thread. Errors: kResourceExhausted when there is no room, kUnavailable for other failures of the disk;
/// both keep it.
class PartialFile {
 public:
  static constexpr std::string_view kSuffix = ".partial";
  static constexpr std::string_view kNoteSuffix = ".partial.note";

  /// What is there of `target`, or an empty one.
  static Result<PartialFile> open(std::filesystem::path target);
  PartialFile(PartialFile&&) noexcept;
  PartialFile& operator=(PartialFile&&) noexcept;
  ~PartialFile();

  std::uint64_t bytes() const { return bytes_; }
  const PartialNote& note() const { return note_; }

  Result<void> append(std::string_view bytes);
  /// Empties it, and says what it will be a part of.
  Result<void> begin(PartialNote note);
  /// Reads on in what was there when it was opened, some MiB; true when all of it has been read.
  Result<bool> read_on();
  /// Of all its bytes, in hex; they have been read.
  std::string sha256() const;

  /// Makes it durable, and gives it its name.
  Result<void> commit();
  /// Removes it.
  void discard();

 private:
  struct Digest;
  PartialFile(std::filesystem::path target, FileHandle file);
  Error failure(std::string_view what) const;
  std::filesystem::path beside(std::string_view suffix) const;

  std::filesystem::path target_;
  FileHandle file_;
  std::uint64_t bytes_ = 0;
  std::uint64_t read_ = 0;  // of those, by the digest
  PartialNote note_;
  std::unique_ptr<Digest> digest_;
};

/// Bytes that may still be written to the file system of `folder`; nothing where it does not say.
std::optional<std::uint64_t> free_bytes(const std::filesystem::path& folder);

/// "94.1 MiB".
std::string shown_bytes(std::uint64_t bytes);

}  // namespace autoglm::engine
