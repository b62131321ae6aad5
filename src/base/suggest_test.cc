#include "base/suggest.h"

#include <gtest/gtest.h>

#include <vector>

namespace autoglm {
namespace {

TEST(EditDistance, CountsLettersAndSwaps) {
  EXPECT_EQ(edit_distance("listen", "listen"), 0U);
  EXPECT_EQ(edit_distance("lsiten", "listen"), 1U);
  EXPECT_EQ(edit_distance("listn", "listen"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
}

TEST(Nearest, FindsWhatIsCloseAndNothingElse) {
  const std::vector<std::string> keys = {"listen", "workers", "max_body"};
  EXPECT_EQ(nearest("worker", keys), "workers");
  EXPECT_EQ(nearest("maxbody", keys), "max_body");
  EXPECT_EQ(nearest("colour", keys), std::nullopt);
  EXPECT_EQ(nearest(std::string(1 << 20, 'x'), keys), std::nullopt);
}

}  // namespace
}  // namespace autoglm
