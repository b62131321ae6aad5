#include "http/chunked.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::http {
namespace {

/// The body, "incomplete", or "refused"; `rest` is what follows the body.
std::string decode(const std::string& bytes, std::size_t step, std::string* rest = nullptr) {
  ChunkedDecoder decoder;
  std::string body;
  std::string pending;
  std::size_t position = 0;
  while (!decoder.done()) {
    if (position == bytes.size()) return "incomplete";
    pending += bytes.substr(position, step);
    position = std::min(position + step, bytes.size());
    const auto used = decoder.decode(pending, body);
    if (!used) return "refused";
    pending.erase(0, *used);
  }
  if (rest != nullptr) *rest = pending + bytes.substr(position);
  return body;
}

struct ChunkCase {
  const char* bytes;
  const char* body;
};

const ChunkCase kCases[] = {
    {"5\r\nhello\r\n0\r\n\r\n", "hello"},
    {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"},
    {"A;name=\"v\"\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
    {"a\r\n0123456789\r\n000\r\n\r\n", "0123456789"},
    {"1\r\nx\r\n0\r\nTrailer: yes\r\n\r\n", "x"},
    {"0\r\n\r\n", ""},
    {"5\r\nhel", "incomplete"},
    {"5\r\nhello\r\n0\r\n", "incomplete"},
    {"5\nhello\r\n0\r\n\r\n", "refused"},
    {"5\r\nhello!\r\n0\r\n\r\n", "refused"},
    {"5\r\nhello\n0\r\n\r\n", "refused"},
    {"\r\nhello\r\n0\r\n\r\n", "refused"},
    {"-5\r\nhello\r\n0\r\n\r\n", "refused"},
    {"0x5\r\nhello\r\n0\r\n\r\n", "refused"},
    {"5 \r\nhello\r\n0\r\n\r\n", "refused"},
    {"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", "refused"},
    {"5;\x01\r\nhello\r\n0\r\n\r\n", "refused"},
    {"1\r\nx\r\n0\r\nbad trailer\r\n\r\n", "refused"},
};

TEST(ChunkedDecoder, IsStrictHoweverTheBytesArrive) {
  for (const ChunkCase& c : kCases) {
    for (const std::size_t step : {1, 2, 3, 1000})
      EXPECT_EQ(decode(c.bytes, step), c.body) << c.bytes << " by " << step;
  }
}

TEST(ChunkedDecoder, LeavesWhatFollowsTheBody) {
  std::string rest;
  EXPECT_EQ(decode("1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n", 4, &rest), "x");
  EXPECT_EQ(rest, "GET / HTTP/1.1\r\n");
}

TEST(ChunkedDecoder, BoundsLinesAndTrailers) {
  EXPECT_EQ(decode("5;" + std::string(2000, 'x'), 100), "refused");
  std::string trailers = "0\r\n";
  for (int i = 0; i < 1000; ++i) trailers += "X-Trailer: value\r\n";
  EXPECT_EQ(decode(trailers + "\r\n", 1000), "refused");
}

}  // namespace
}  // namespace autoglm::http
