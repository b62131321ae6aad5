#include "gateway/front/http/path_pattern.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

TEST(PathPattern, APathMatchesItselfAlone) {
  EXPECT_TRUE(PathPattern("/v1/models").matches("/v1/models"));
  for (const char* other : {"/v1/models/", "/v1/model", "/v1/modelsx", "", "/"})
    EXPECT_FALSE(PathPattern("/v1/models").matches(other)) << other;
  EXPECT_TRUE(PathPattern("/").matches("/"));
  EXPECT_FALSE(PathPattern("/").matches("/x"));
}

TEST(PathPattern, ATrailingSlashTakesWhatIsBelow) {
  for (const char* path : {"/v1/models/", "/v1/models/a", "/v1/models/a/b"})
    EXPECT_TRUE(PathPattern("/v1/models/").matches(path)) << path;
  EXPECT_FALSE(PathPattern("/v1/models/").matches("/v1/models"));
}

TEST(PathPattern, ANameStandsForAnythingWithinThePath) {
  const PathPattern infer("/v2/models/{model}/infer");
  EXPECT_TRUE(infer.matches("/v2/models/a/infer"));
  EXPECT_EQ(infer.placed("/v2/models/a/infer"), "a");
  EXPECT_EQ(infer.placed("/v2/models/org/repo/versions/1/infer"), "org/repo/versions/1");
  for (const char* other : {"/v2/models//infer", "/v2/models/infer", "/v2/models/a", "/v2/models/a/infer/",
                            "/v2/models/a/ginfer", "/v2/model/a/infer", "/infer"})
    EXPECT_FALSE(infer.matches(other)) << other;
  const PathPattern model("/v2/models/{model}");
  EXPECT_EQ(model.placed("/v2/models/a/infer"), "a/infer");
  EXPECT_FALSE(model.matches("/v2/models/"));
}

TEST(PathPattern, OneWithoutAnEndIsWider) {
  const PathPattern infer("/v2/models/{model}/infer");
  const PathPattern model("/v2/models/{model}");
  EXPECT_TRUE(model.is_wider_than(infer));
  EXPECT_FALSE(infer.is_wider_than(model));
  EXPECT_FALSE(model.is_wider_than(PathPattern("/v2/models/x")));
  EXPECT_FALSE(PathPattern("/v1/").is_wider_than(infer));
}

}  // namespace
}  // namespace autoglm::gateway
