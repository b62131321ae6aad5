#include "http/header_lines.h"

#include <gtest/gtest.h>

namespace autoglm::http {
namespace {

TEST(HeaderLines, AValueEndsNoLine) {
  HeaderLines lines;
  lines.add("X-Echo", "a\r\nSet-Cookie: b");
  lines.add("X-Last", std::string_view("\0\t\n", 3));
  EXPECT_EQ(lines.text(), "X-Echo: a  Set-Cookie: b\r\nX-Last:    \r\n");
}

TEST(HeaderLines, FindsAWholeName) {
  HeaderLines lines;
  EXPECT_FALSE(lines.has("Accept"));
  lines.add("X-First", "Accept: a");
  lines.add("Accept-Encoding", "gzip");
  EXPECT_TRUE(lines.has("accept-encoding"));
  EXPECT_FALSE(lines.has("accept"));
  EXPECT_FALSE(lines.has("gzip"));
}

TEST(HeaderLines, TakesOverWhatOthersSay) {
  HeaderLines all;
  HeaderLines more;
  all.add("A", "1");
  more.add("B", "2");
  all.add(more);
  EXPECT_EQ(all.text(), "A: 1\r\nB: 2\r\n");
}

}  // namespace
}  // namespace autoglm::http
