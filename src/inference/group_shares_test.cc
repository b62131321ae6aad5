#include "inference/group_shares.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

TEST(LiveGroupShares, CrossToAnotherProcessWholeAndNewestFirst) {
  LiveGroupShares server;
  LiveGroupShares engine;
  EXPECT_EQ(server.get(), nullptr);
  server.set({{.name = "chat", .share = 0.5, .max = 0.8}, {.name = "批/=;%", .weight = 2.5}});
  const std::string first = server.get()->told;
  for (const char byte : first) EXPECT_TRUE(byte > ' ' && byte < 0x7f) << "it stands in a header";
  server.set({{.name = "chat", .share = 0.25}});
  engine.hear(server.get()->told);
  EXPECT_EQ(engine.get()->groups, server.get()->groups);
  engine.hear(first);
  EXPECT_EQ(engine.get()->groups, server.get()->groups) << "an older one came late";

  LiveGroupShares another;
  another.hear(first);
  ASSERT_EQ(another.get()->groups.size(), 2U);
  EXPECT_EQ(another.get()->groups[0], (GroupShare{.name = "chat", .share = 0.5, .max = 0.8}));
  EXPECT_EQ(another.get()->groups[1], (GroupShare{.name = "批/=;%", .weight = 2.5}));
}

TEST(LiveGroupShares, ATextThatIsNoneAndAnEqualTableChangeNothing) {
  LiveGroupShares shares;
  shares.set({});
  EXPECT_EQ(shares.version(), 0U);
  shares.set({{.name = "a"}});
  shares.set({{.name = "a"}});
  EXPECT_EQ(shares.version(), 1U);
  for (const char* text : {"", "x", "9;a", "9;a=1/2", "9;a=1/2/x", "-1;", "99999999999999999999999;"})
    shares.hear(text);
  EXPECT_EQ(shares.version(), 1U);
  EXPECT_EQ(unescaped_group(escaped_group("a b%20\xff")), "a b%20\xff");
  EXPECT_EQ(unescaped_group("%zz%4"), "%zz%4");
}

}  // namespace
}  // namespace autoglm
