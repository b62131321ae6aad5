#include "journal/segments.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace autoglm::journal {

namespace {

constexpr std::string_view kSegmentSuffix = ".journal";
constexpr std::size_t kSequenceDigits = 20;

std::optional<std::uint64_t> sequence_of_name(std::string_view name) {
  if (name.size() != kSequenceDigits + kSegmentSuffix.size() || !name.ends_with(kSegmentSuffix))
    return std::nullopt;
  std::uint64_t sequence = 0;
  name.remove_suffix(kSegmentSuffix.size());
  const auto [at, error] = std::from_chars(name.data(), name.data() + name.size(), sequence);
  if (error != std::errc() || at != name.data() + name.size() || sequence == 0) return std::nullopt;
  return sequence;
}

/// Reads one segment up to `limit`, which the next segment or the caller sets.
class SegmentReplay {
 public:
  SegmentReplay(const Segment& segment, std::uint64_t begin, std::uint64_t limit, Replayed& replayed)
      : segment_(segment), begin_(begin), limit_(limit), replayed_(replayed) {}

  Result<void> read(Storage& storage, FunctionRef<void(const Record&)> visit) {
    const auto bytes = storage.read(segment_.name);
    if (!bytes && bytes.error().code == ErrorCode::kNotFound) return {};
    // Perhaps only for a moment: as a loss, its records would be skipped for good.
    if (!bytes)
      return fail(ErrorCode::kUnavailable,
                  "records of the journal cannot be read: " + bytes.error().message +
                      "; repair the disk, or move that file away to go on without its records");
    const auto scan = read_segment(*bytes, [&](const Record& record) {
      if (record.sequence < begin_ || record.sequence >= limit_) return;
      ++replayed_.records;
      visit(record);
    });
    if (!scan) {
      lose(segment_.first_sequence, limit_, scan.error().message);
      return {};
    }
    for (const Gap& gap : scan->gaps)
      lose(gap.first_sequence, gap.end_sequence,
           std::to_string(gap.bytes) + " bytes from byte " + std::to_string(gap.offset) + " on are damaged");
    lose(scan->next_sequence, limit_,
         "it is damaged from byte " + std::to_string(scan->whole_bytes) + " to its end");
    return {};
  }

 private:
  void lose(std::uint64_t first, std::uint64_t end, std::string reason) {
    first = std::max(first, begin_);
    end = std::min(end, limit_);
    if (first >= end) return;
    replayed_.losses.push_back({.first_sequence = first,
                                .end_sequence = end,
                                .segment = segment_.name,
                                .reason = std::move(reason)});
  }

  const Segment& segment_;
  std::uint64_t begin_;
  std::uint64_t limit_;
  Replayed& replayed_;
};

/// Cuts the last segment behind its last whole record.
Result<void> cut_tail(Storage& storage, const Segment& last, std::uint64_t whole_bytes) {
  auto file = storage.reopen(last.name);
  if (!file) return fail(file.error());
  if (auto cut = (*file)->truncate(whole_bytes); !cut) return cut;
  return (*file)->sync();
}

}  // namespace

std::string segment_name(std::uint64_t first_sequence) {
  std::string digits = std::to_string(first_sequence);
  digits.insert(0, kSequenceDigits - digits.size(), '0');
  return digits.append(kSegmentSuffix);
}

Result<std::vector<Segment>> list_segments(Storage& storage) {
  auto entries = storage.list();
  if (!entries) return fail(entries.error());
  std::vector<Segment> segments;
  for (Storage::Entry& entry : *entries) {
    if (const auto sequence = sequence_of_name(entry.name))
      segments.push_back({.first_sequence = *sequence,
                          .name = std::move(entry.name),
                          .bytes = entry.size,
                          .modified = entry.modified});
  }
  std::ranges::sort(segments, {}, &Segment::first_sequence);
  return segments;
}

Result<Replayed> replay_segments(Storage& storage, std::uint64_t begin, std::uint64_t end,
                                 FunctionRef<void(const Record&)> visit) {
  const auto segments = list_segments(storage);
  if (!segments) return fail(segments.error());
  Replayed replayed;
  for (std::size_t i = 0; i < segments->size(); ++i) {
    const bool last = i + 1 == segments->size();
    const std::uint64_t limit = last ? end : std::min(end, (*segments)[i + 1].first_sequence);
    if (limit <= begin) continue;
    if (auto read = SegmentReplay((*segments)[i], begin, limit, replayed).read(storage, visit); !read)
      return fail(std::move(read).error());
  }
  return replayed;
}

Result<JournalEnd> recover_end(Storage& storage) {
  auto segments = list_segments(storage);
  if (!segments) return fail(segments.error());
  JournalEnd end;
  for (; !segments->empty(); segments->pop_back()) {
    const Segment& last = segments->back();
    const auto bytes = storage.read(last.name);
    if (!bytes) return fail(bytes.error());
    const auto scan = read_segment(*bytes, [](const Record&) {});
    if (scan) {
      if (const auto torn = bytes->size() - scan->whole_bytes; torn > 0) {
        if (auto cut = cut_tail(storage, last, scan->whole_bytes); !cut) return fail(cut.error());
        end.dropped_bytes += torn;
      }
      if (end.damaged.empty())
        end.segment = {.name = last.name, .head = scan->head, .bytes = scan->whole_bytes};
      end.next_sequence = std::max(end.next_sequence, scan->next_sequence);
      return end;
    }
    if (scan.error().code == ErrorCode::kUnimplemented)
      return fail(ErrorCode::kUnimplemented,
                  "the journal's segment " + last.name + ": " + scan.error().message);
    // Its making was torn, or its head is damaged. How many records it held is unknown: a number is used
    // once, so go on with one that it cannot have reached.
    end.next_sequence =
        std::max(end.next_sequence,
                 last.first_sequence + (bytes->size() > kSegmentHead ? bytes->size() / kFrameHead : 0));
    if (bytes->size() <= kSegmentHead) {
      end.dropped_bytes += bytes->size();
      if (auto removed = storage.remove(last.name); !removed) return fail(removed.error());
    } else {
      end.damaged.push_back(last.name + ".damaged");
      if (auto renamed = storage.rename(last.name, end.damaged.back()); !renamed)
        return fail(renamed.error());
    }
  }
  return end;
}

}  // namespace autoglm::journal
