#include "journal/record_format.h"

#include "base/random.h"
#include "journal/crc32c.h"

#include <gtest/gtest.h>

#include <boost/crc.hpp>
#include <string>
#include <vector>

namespace autoglm::journal {
namespace {

using Read = std::vector<std::pair<std::uint64_t, std::string>>;

std::string segment_of(const std::vector<std::string>& payloads, std::uint64_t first = 1,
                       std::uint32_t salt = 77) {
  std::string bytes = to_bytes({.salt = salt, .first_sequence = first});
  for (const std::string& payload : payloads) {
    const std::size_t at = bytes.size();
    append_frame(bytes, {.kind = static_cast<std::uint8_t>(payload.size()), .payload = payload});
    EXPECT_EQ(seal_frame(&bytes[at], salt, first++), bytes.size() - at);
  }
  return bytes;
}

Result<SegmentScan> read(std::string_view bytes, Read& records) {
  return read_segment(bytes, [&](const Record& record) {
    EXPECT_EQ(record.kind, static_cast<std::uint8_t>(record.payload.size()));
    records.emplace_back(record.sequence, record.payload);
  });
}

const std::vector<std::string> kPayloads = {"one", "", std::string(300, 'x'), "four", "five"};

TEST(Crc32c, AgreesWithAnotherImplementation) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  Random random(1);
  for (std::size_t size = 0; size < 100; ++size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> other;
    other.process_bytes(bytes.data(), bytes.size());
    EXPECT_EQ(crc32c(bytes), other.checksum());
    EXPECT_EQ(crc32c_by_table(bytes), other.checksum());
    EXPECT_EQ(crc32c(bytes.substr(size / 3), crc32c(bytes.substr(0, size / 3))), other.checksum());
  }
}

TEST(RecordFormat, ReadsWhatItWrote) {
  const std::string bytes = segment_of(kPayloads, 41);
  Read records;
  const auto scan = read(bytes, records);
  ASSERT_TRUE(scan);
  EXPECT_EQ(scan->head.first_sequence, 41U);
  EXPECT_EQ(scan->records, kPayloads.size());
  EXPECT_EQ(scan->next_sequence, 46U);
  EXPECT_EQ(scan->whole_bytes, bytes.size());
  EXPECT_TRUE(scan->gaps.empty());
  ASSERT_EQ(records.size(), kPayloads.size());
  for (std::size_t i = 0; i < records.size(); ++i)
    EXPECT_EQ(records[i], std::pair(41 + std::uint64_t{i}, kPayloads[i]));
}

TEST(RecordFormat, EachCutLeavesTheWholeRecordsBeforeIt) {
  const std::string bytes = segment_of(kPayloads);
  std::vector<std::size_t> ends = {kSegmentHead};
  for (const std::string& payload : kPayloads) ends.push_back(ends.back() + kFrameHead + payload.size());
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    Read records;
    const auto scan = read(std::string_view(bytes).substr(0, size), records);
    ASSERT_EQ(scan.has_value(), size >= kSegmentHead);
    if (!scan) continue;
    std::size_t whole = 0;
    while (whole < kPayloads.size() && ends[whole + 1] <= size) ++whole;
    EXPECT_EQ(records.size(), whole);
    EXPECT_EQ(scan->whole_bytes, ends[whole]);
    EXPECT_TRUE(scan->gaps.empty());
  }
}

TEST(RecordFormat, EachFlippedBitCostsItsRecordOnly) {
  const std::string bytes = segment_of(kPayloads);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    Read records;
    const auto scan = read(damaged, records);
    ASSERT_EQ(scan.has_value(), bit / 8 >= kSegmentHead) << bit;
    if (!scan) continue;
    ASSERT_EQ(records.size(), kPayloads.size() - 1) << bit;
    for (const auto& [sequence, payload] : records) EXPECT_EQ(payload, kPayloads[sequence - 1]);
    const bool last = records.back().first < kPayloads.size();
    ASSERT_EQ(scan->gaps.size(), last ? 0U : 1U);
    if (!last) EXPECT_EQ(scan->gaps[0].end_sequence - scan->gaps[0].first_sequence, 1U);
  }
}

TEST(RecordFormat, NoPayloadPassesForARecord) {
  // A payload that holds a frame of another segment, whose number would fit, in a record that is damaged.
  const std::string inner = segment_of({"first", "second", "forged"}, 1, 78).substr(kSegmentHead);
  std::string bytes = segment_of({"first", inner});
  bytes[bytes.size() - 1] ^= 1;
  Read records;
  const auto scan = read(bytes, records);
  ASSERT_TRUE(scan);
  EXPECT_EQ(records.size(), 1U);
  EXPECT_TRUE(scan->gaps.empty());
}

TEST(RecordFormat, TheSearchBehindDamageIsBounded) {
  // Each piece of this payload could begin a long record. A search of all would find the record behind them,
  // after a hundred gigabytes.
  std::string payload;
  while (payload.size() < (std::size_t{4} << 20U)) {
    std::string frame(kFrameHead + 4, '\0');
    frame[6] = 0x08;  // half a megabyte
    frame[8] = 2;
    payload += frame;
  }
  std::string bytes = segment_of({"first", payload, "after"});
  bytes[kSegmentHead + kFrameHead + 5] ^= 1;
  Read records;
  const auto scan = read(bytes, records);
  ASSERT_TRUE(scan);
  EXPECT_EQ(records.size(), 1U);
}

TEST(RecordFormat, RefusesAnotherVersion) {
  std::string bytes = segment_of({"one"});
  bytes[8] = 2;
  const std::uint32_t crc = crc32c(std::string_view(bytes).substr(0, 32));
  std::copy_n(reinterpret_cast<const char*>(&crc), 4, &bytes[32]);
  EXPECT_EQ(read_segment_head(bytes).error().code, ErrorCode::kUnimplemented);
}

}  // namespace
}  // namespace autoglm::journal
