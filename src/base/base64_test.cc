#include "base/base64.h"

#include <gtest/gtest.h>

#include <string_view>

namespace autoglm {
namespace {

std::string base64(std::string_view text) {
  std::string out = ">";
  append_base64(out, std::as_bytes(std::span(text)));
  return out.substr(1);
}

TEST(Base64, EncodesAsTheStandardHasIt) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foob"), "Zm9vYg==");
  EXPECT_EQ(base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xff\xfe\x00"), "//4=") << "the literal ends at its zero";
}

TEST(Base64, ReadsWhatItWrites) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(read_base64(to_base64(bytes)), bytes);
    bytes += static_cast<char>(i * 37);
  }
  EXPECT_EQ(read_base64("Zm9vYg=="), "foob");
  for (const char* wrong : {"Z", "Zg", "Zg=", "Zg=a", "Z===", "Zm9v\n", "Zm-_", "=AAA", "===="})
    EXPECT_EQ(read_base64(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace autoglm
