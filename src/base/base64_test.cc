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

}  // namespace
}  // namespace autoglm
