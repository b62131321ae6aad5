#pragma once

#include "base/function_ref.h"
#include "base/result.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::journal {

/// A record: bytes whose meaning the rooms above know. The caller of a function that takes one owns its
/// payload until the function returns.
struct Record {
  std::uint8_t kind = 0;
  std::string_view payload;
  std::uint64_t sequence = 0;  ///< from 1, without holes; the journal gives it when it writes the record
};

/// How records lie in a file. All numbers are little-endian.
///
/// A segment is a head of 36 bytes: magic (8), version (4), salt (4), the first record's sequence (8), when
/// it was made (8, milliseconds since 1970), CRC-32C of these 32 bytes (4). Then frames: CRC-32C (4), the
/// payload's length (4), sequence (8), kind (1), payload. A frame's checksum begins with the segment's salt,
/// a random number, so that no payload can contain what would pass for a frame.
inline constexpr std::size_t kSegmentHead = 36;
inline constexpr std::size_t kFrameHead = 17;
/// In bytes. A length beyond it is damage.
inline constexpr std::size_t kMaxPayload = std::size_t{16} << 20U;

struct SegmentHead {
  std::uint32_t salt = 0;
  std::uint64_t first_sequence = 1;
  std::chrono::system_clock::time_point created = {};  ///< in whole milliseconds
};

std::string to_bytes(const SegmentHead& head);
/// Errors: kDataLoss when `bytes` do not begin with a whole head; kUnimplemented when it has another version.
Result<SegmentHead> read_segment_head(std::string_view bytes);

/// Appends the frame of `record` to `out`, still without its sequence and checksum: those are known when it
/// is written.
void append_frame(std::string& out, const Record& record);
/// Completes the frame that begins at `frame`; returns its length in bytes.
std::size_t seal_frame(char* frame, std::uint32_t salt, std::uint64_t sequence);

/// Bytes of a segment that are no whole record although whole records follow.
struct Gap {
  std::uint64_t first_sequence = 0;  ///< the first record that is lost
  std::uint64_t end_sequence = 0;    ///< the first one after it that is whole
  std::size_t offset = 0;
  std::size_t bytes = 0;
};

/// What a segment holds.
struct SegmentScan {
  SegmentHead head;
  std::uint64_t records = 0;
  std::uint64_t next_sequence = 0;  ///< one more than the last whole record's
  std::size_t whole_bytes = 0;      ///< up to the last whole record's end; what follows is torn or damaged
  std::vector<Gap> gaps;
};

/// Visits every whole record of a segment in order. Damage never ends the process: the reader goes on at the
/// next whole record, and reports the gap. The payloads lie in `bytes`. Pure.
/// Errors: those of `read_segment_head`; without a head no record can be told from damage.
Result<SegmentScan> read_segment(std::string_view bytes, FunctionRef<void(const Record&)> visit);

}  // namespace autoglm::journal
