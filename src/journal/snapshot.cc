#include "journal/snapshot.h"

#include "journal/crc32c.h"

#include <algorithm>
#include <utility>

namespace autoglm::journal {

namespace {

// Magic (8), version (4), CRC-32C of what follows (4), the next record's sequence (8), the state. All numbers
// are little-endian.
constexpr std::string_view kSnapshotMagic = "AGLMSNAP";
constexpr std::uint32_t kSnapshotVersion = 1;
constexpr std::size_t kSnapshotHead = 24;
constexpr std::size_t kSummed = 16;
constexpr std::size_t kMostAtOnce = std::size_t{1} << 20U;

void put_little(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8U * static_cast<unsigned>(i)));
}

std::uint64_t get_little(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i > 0; --i) value = value << 8U | static_cast<unsigned char>(bytes[at + i - 1]);
  return value;
}

Result<void> write_whole(StorageFile& file, std::string_view bytes) {
  for (std::uint64_t at = 0; !bytes.empty();) {
    const auto written = file.write(at, bytes.substr(0, kMostAtOnce));
    if (!written) return fail(written.error());
    bytes.remove_prefix(*written);
    at += *written;
  }
  return file.sync();
}

}  // namespace

Result<void> write_snapshot(Storage& storage, const std::string& name, const Snapshot& snapshot) {
  std::string summed;
  put_little(summed, snapshot.next_sequence, 8);
  std::string bytes(kSnapshotMagic);
  put_little(bytes, kSnapshotVersion, 4);
  put_little(bytes, crc32c(snapshot.state, crc32c(summed)), 4);
  bytes += summed;
  bytes += snapshot.state;
  const std::string fresh = name + ".new";
  auto file = storage.create(fresh);
  if (!file) return fail(std::move(file).error());
  auto written = write_whole(**file, bytes);
  file->reset();
  if (written) written = storage.rename(fresh, name);
  if (!written) {
    static_cast<void>(storage.remove(fresh));  // a full disk needs the room
    return written;
  }
  return storage.sync();
}

Result<Snapshot> read_snapshot(Storage& storage, const std::string& name) {
  auto bytes = storage.read(name);
  if (!bytes) return fail(std::move(bytes).error());
  const auto damaged = [&] { return fail(ErrorCode::kDataLoss, "the snapshot " + name + " is damaged"); };
  if (bytes->size() < kSnapshotHead || !bytes->starts_with(kSnapshotMagic)) return damaged();
  if (get_little(*bytes, 8, 4) != kSnapshotVersion)
    return fail(ErrorCode::kUnimplemented, "a newer program wrote the snapshot " + name);
  if (get_little(*bytes, 12, 4) != crc32c(std::string_view(*bytes).substr(kSummed))) return damaged();
  return Snapshot{.next_sequence = std::max<std::uint64_t>(get_little(*bytes, kSummed, 8), 1),
                  .state = bytes->substr(kSnapshotHead)};
}

}  // namespace autoglm::journal
