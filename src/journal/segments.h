#pragma once

#include "base/function_ref.h"
#include "base/result.h"
#include "journal/record_format.h"
#include "journal/storage.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::journal {

/// A segment is named after its first record: 20 digits and ".journal". It ends where the next segment
/// begins: whole records with the next segment's numbers are of a write that failed, and are not part of the
/// journal.
std::string segment_name(std::uint64_t first_sequence);

struct Segment {
  std::uint64_t first_sequence = 0;
  std::string name;
  std::uint64_t bytes = 0;
  std::chrono::system_clock::time_point modified = {};  ///< when its last record was written
};

/// The segments in their order; other files are left out.
Result<std::vector<Segment>> list_segments(Storage& storage);

/// Records that cannot be read any more.
struct Loss {
  std::uint64_t first_sequence = 0;
  std::uint64_t end_sequence = 0;  ///< one more than the last one that is lost
  std::string segment;
  std::string reason;
};

struct Replayed {
  std::uint64_t records = 0;  ///< visited
  std::vector<Loss> losses;
};

/// Visits the records from `begin` to before `end` in order, each once. Reads one segment at a time into
/// memory. What is damaged is a loss, and reading goes on behind it; a segment that retention removes
/// meanwhile is none. Errors: kUnavailable, perhaps for a moment only: the folder cannot be listed, or a file
/// cannot be read; records before it have been visited then.
Result<Replayed> replay_segments(Storage& storage, std::uint64_t begin, std::uint64_t end,
                                 FunctionRef<void(const Record&)> visit);

/// Where a journal goes on.
struct JournalEnd {
  struct Open {
    std::string name;
    SegmentHead head;
    std::uint64_t bytes = 0;
  };
  std::uint64_t next_sequence = 1;
  std::optional<Open> segment;       ///< the last one; nothing when there is none to go on with
  std::uint64_t dropped_bytes = 0;   ///< of a torn tail
  std::vector<std::string> damaged;  ///< segments without a readable head, renamed
};

/// Finds the end, and makes it whole: what follows the last whole record of the last segment is cut off.
/// Errors: the disk's; kUnimplemented when a newer program wrote the last segment. Nothing has been lost
/// then.
Result<JournalEnd> recover_end(Storage& storage);

}  // namespace autoglm::journal
