#include "gateway/protocol/url_part.h"

#include <gtest/gtest.h>

namespace autoglm::protocol {
namespace {

TEST(UrlPart, IsOneSegmentWhateverTheName) {
  EXPECT_EQ(url_part("aZ-9._~"), "aZ-9._~");
  EXPECT_EQ(url_part("../a?b#c%"), "..%2Fa%3Fb%23c%25");
  EXPECT_EQ(url_part(".."), "%2E%2E");
  EXPECT_EQ(url_part("é"), "%C3%A9");
}

}  // namespace
}  // namespace autoglm::protocol
