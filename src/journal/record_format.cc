#include "journal/record_format.h"

#include "journal/crc32c.h"

#include <bit>
#include <cstring>
#include <optional>

namespace autoglm::journal {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie in memory");

namespace {

constexpr std::string_view kMagic = "AGLMJRNL";
constexpr std::uint32_t kVersion = 1;
// Beyond it a head is damaged; below it no sum of sequences overflows.
constexpr std::uint64_t kMaxSequence = std::uint64_t{1} << 62U;
// The search for the next whole record checks at most this many times the segment's bytes.
constexpr std::size_t kSearchedTimes = 8;

template <class T>
void put(char* at, T number) {
  std::memcpy(at, &number, sizeof number);
}

template <class T>
T get(std::string_view bytes, std::size_t at) {
  T number{};
  std::memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

/// The length of the frame at the begin of `bytes` as it states it, if so many bytes are there.
std::optional<std::size_t> frame_length(std::string_view bytes) {
  if (bytes.size() < kFrameHead) return std::nullopt;
  const std::size_t payload = get<std::uint32_t>(bytes, 4);
  if (payload > kMaxPayload || payload > bytes.size() - kFrameHead) return std::nullopt;
  return kFrameHead + payload;
}

std::optional<Record> read_frame(std::string_view frame, std::uint32_t salt) {
  if (get<std::uint32_t>(frame, 0) != crc32c(frame.substr(4), salt)) return std::nullopt;
  return Record{.kind = static_cast<std::uint8_t>(frame[16]),
                .payload = frame.substr(kFrameHead),
                .sequence = get<std::uint64_t>(frame, 8)};
}

/// Where the next whole record begins, from `damage` on. A record of at least `kFrameHead` bytes is lost for
/// each number that is missing, which excludes almost every offset before a checksum is computed.
std::optional<std::size_t> find_whole(std::string_view bytes, std::size_t damage, const SegmentScan& scan,
                                      std::size_t& budget) {
  for (std::size_t at = damage; at + kFrameHead <= bytes.size(); ++at) {
    const std::uint64_t missing = get<std::uint64_t>(bytes, at + 8) - scan.next_sequence;
    if (missing > (at - damage) / kFrameHead) continue;
    const auto length = frame_length(bytes.substr(at));
    if (!length) continue;
    if (*length > budget) return std::nullopt;
    budget -= *length;
    if (read_frame(bytes.substr(at, *length), scan.head.salt)) return at;
  }
  return std::nullopt;
}

}  // namespace

std::string to_bytes(const SegmentHead& head) {
  using std::chrono::milliseconds;
  std::string bytes(kSegmentHead, '\0');
  kMagic.copy(bytes.data(), kMagic.size());
  put(&bytes[8], kVersion);
  put(&bytes[12], head.salt);
  put(&bytes[16], head.first_sequence);
  put(&bytes[24],
      std::int64_t{std::chrono::duration_cast<milliseconds>(head.created.time_since_epoch()).count()});
  put(&bytes[32], crc32c(std::string_view(bytes).substr(0, 32)));
  return bytes;
}

Result<SegmentHead> read_segment_head(std::string_view bytes) {
  if (bytes.size() < kSegmentHead) return fail(ErrorCode::kDataLoss, "it ends within its head");
  if (!bytes.starts_with(kMagic)) return fail(ErrorCode::kDataLoss, "it does not begin as a segment");
  if (get<std::uint32_t>(bytes, 32) != crc32c(bytes.substr(0, 32)))
    return fail(ErrorCode::kDataLoss, "its head is damaged");
  const auto version = get<std::uint32_t>(bytes, 8);
  if (version != kVersion)
    return fail(ErrorCode::kUnimplemented,
                "it has version " + std::to_string(version) +
                    ", which this program does not read; use the program that wrote it");
  constexpr std::int64_t kMaxMilliseconds = std::int64_t{1} << 43U;  // the year 2248
  const auto created = get<std::int64_t>(bytes, 24);
  const SegmentHead head{.salt = get<std::uint32_t>(bytes, 12),
                         .first_sequence = get<std::uint64_t>(bytes, 16),
                         .created = std::chrono::system_clock::time_point(std::chrono::milliseconds(
                             created >= 0 && created < kMaxMilliseconds ? created : std::int64_t{0}))};
  if (head.first_sequence == 0 || head.first_sequence > kMaxSequence)
    return fail(ErrorCode::kDataLoss, "its head has an impossible sequence");
  return head;
}

void append_frame(std::string& out, const Record& record) {
  const std::size_t begin = out.size();
  const std::size_t size = kFrameHead + record.payload.size();
  out.resize_and_overwrite(begin + size, [&](char* bytes, std::size_t /*may be more*/) {
    char* frame = bytes + begin;
    std::memset(frame, 0, kFrameHead);
    put(frame + 4, static_cast<std::uint32_t>(record.payload.size()));
    frame[16] = static_cast<char>(record.kind);
    record.payload.copy(frame + kFrameHead, record.payload.size());
    return begin + size;
  });
}

std::size_t seal_frame(char* frame, std::uint32_t salt, std::uint64_t sequence) {
  const std::size_t size = kFrameHead + get<std::uint32_t>(std::string_view(frame, kFrameHead), 4);
  put(frame + 8, sequence);
  put(frame, crc32c(std::string_view(frame + 4, size - 4), salt));
  return size;
}

Result<SegmentScan> read_segment(std::string_view bytes, FunctionRef<void(const Record&)> visit) {
  const auto head = read_segment_head(bytes);
  if (!head) return fail(head.error());
  SegmentScan scan{.head = *head, .next_sequence = head->first_sequence, .whole_bytes = kSegmentHead};
  std::size_t budget = kSearchedTimes * bytes.size();
  while (scan.whole_bytes < bytes.size()) {
    const std::size_t at = scan.whole_bytes;
    const auto length = frame_length(bytes.substr(at));
    const auto record = length ? read_frame(bytes.substr(at, *length), head->salt) : std::nullopt;
    if (record && record->sequence == scan.next_sequence) {
      visit(*record);
      ++scan.records;
      ++scan.next_sequence;
      scan.whole_bytes += *length;
      continue;
    }
    const auto whole = find_whole(bytes, at, scan, budget);
    if (!whole) break;
    const auto sequence = get<std::uint64_t>(bytes, *whole + 8);
    scan.gaps.push_back(
        {.first_sequence = scan.next_sequence, .end_sequence = sequence, .offset = at, .bytes = *whole - at});
    scan.next_sequence = sequence;
    scan.whole_bytes = *whole;
  }
  return scan;
}

}  // namespace autoglm::journal
