// A segment of the journal after any damage: what is read is whole, in order, and stays so when the tail is
// cut.
#include "journal/record_format.h"

#include "fuzzing.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace autoglm;
using fuzzing::expect;

/// What every segment's reading fulfils. Returns the numbers and payloads.
std::vector<std::pair<std::uint64_t, std::string>> read(std::string_view bytes) {
  std::vector<std::pair<std::uint64_t, std::string>> records;
  const auto scan = journal::read_segment(bytes, [&](const journal::Record& record) {
    const std::less_equal<const char*> ordered;
    expect(ordered(bytes.data(), record.payload.data()) &&
               ordered(record.payload.data() + record.payload.size(), bytes.data() + bytes.size()),
           "a payload lies in the segment");
    expect(records.empty() || record.sequence > records.back().first, "numbers rise");
    records.emplace_back(record.sequence, record.payload);
  });
  if (!scan) {
    expect(records.empty(), "without a head there are no records");
    return {};
  }
  expect(scan->records == records.size() && scan->whole_bytes <= bytes.size(), "the sums are right");
  std::uint64_t lost = 0;
  for (const journal::Gap& gap : scan->gaps) {
    expect(gap.first_sequence <= gap.end_sequence && gap.bytes > 0, "a gap has bytes");
    lost += gap.end_sequence - gap.first_sequence;
  }
  expect(scan->head.first_sequence + scan->records + lost == scan->next_sequence,
         "each number is read or lost");
  if (scan->whole_bytes < bytes.size())
    expect(read(bytes.substr(0, scan->whole_bytes)) == records, "cutting the tail loses no record");
  return records;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = fuzzing::text_of(data, size);
  (void)read(bytes);

  // A sound segment whose payloads are the input's pieces, then damaged at a place that the input chooses.
  std::string segment = journal::to_bytes({.salt = 5, .first_sequence = 9});
  std::size_t count = 0;
  for (std::string_view rest = bytes; !rest.empty(); ++count) {
    const std::size_t length = std::min<std::size_t>(static_cast<unsigned char>(rest[0]), rest.size());
    const std::size_t at = segment.size();
    journal::append_frame(segment, {.kind = 1, .payload = rest.substr(0, length)});
    journal::seal_frame(&segment[at], 5, 9 + count);
    rest.remove_prefix(std::max<std::size_t>(length, 1));
  }
  const auto sound = read(segment);
  expect(sound.size() == count, "what was written is read");
  if (size < 4) return 0;
  const std::size_t place = (data[0] << 16U | data[1] << 8U | data[2]) % segment.size();
  segment[place] = static_cast<char>(segment[place] ^ (data[3] | 1));
  const auto damaged = read(segment);
  if (place >= journal::kSegmentHead) expect(damaged.size() < count, "a damaged record is not read");
  return 0;
}
