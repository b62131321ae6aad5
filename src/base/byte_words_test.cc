#include "base/byte_words.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm {
namespace {

TEST(ByteWords, FindEachByteAtEachPlaceOfEachLength) {
  for (int byte = 0; byte < 256; ++byte) {
    for (std::size_t length = 1; length < 20; ++length) {
      for (std::size_t at = 0; at < length; ++at) {
        std::string text(length, 'x');
        text[at] = static_cast<char>(byte);
        const auto finds = [&](auto meant) { return byte_words::any(text, meant); };
        EXPECT_EQ(finds([](std::uint64_t word) { return byte_words::below(word, ' '); }), byte < ' ');
        EXPECT_EQ(finds([](std::uint64_t word) { return byte_words::equal(word, '\x7f'); }), byte == 0x7f);
        EXPECT_EQ(finds([](std::uint64_t word) { return byte_words::equal(word, '"'); }), byte == '"');
        EXPECT_EQ(finds(byte_words::beyond_ascii), byte >= 0x80);
      }
    }
  }
  EXPECT_FALSE(byte_words::any("", [](std::uint64_t word) { return byte_words::below(word, ' '); }));
}

}  // namespace
}  // namespace autoglm
