#include "gateway/admission/groups/group_config.h"

#include "config/load.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

auto read(const char* text) {
  return config::load(describe_group(), {.file_name = "f.yaml", .file_text = text, .environment = {}});
}

TEST(GroupConfig, IsRead) {
  const auto full = read("{ name: chat, concurrent: 16, queue: { size: 7, timeout: 2s } }");
  ASSERT_TRUE(full.has_value());
  EXPECT_EQ(*full, (GroupConfig{.name = "chat", .concurrent = 16, .queue = {.size = 7, .timeout = 2s}}));
  EXPECT_EQ(read("{ name: chat, concurrent: 1 }")->queue, BulkheadQueue{});
  EXPECT_FALSE(read("{ concurrent: 1 }").has_value());
  EXPECT_TRUE(describe_group().description()->live.value_or(false));
}

TEST(GroupConfig, NeedsALimitOrAPart) {
  for (const char* text :
       {"{ name: chat }", "{ name: chat, concurrent: 0 }", "{ name: chat, share: 50%, queue: { size: 7 } }",
        "{ name: chat, share: 50 }", "{ name: chat, share: 0% }", "{ name: chat, share: 101% }",
        "{ name: chat, max: x% }", "{ name: chat, share: 50%, max: 40% }", "{ name: chat, weight: -1 }"})
    EXPECT_FALSE(read(text).has_value()) << text;
  for (const char* text :
       {"{ name: chat, share: 50% }", "{ name: chat, max: 12.5% }", "{ name: chat, weight: 3 }",
        "{ name: chat, share: 50%, max: 50%, weight: 2, concurrent: 4, queue: { size: 7 } }"})
    EXPECT_TRUE(read(text).has_value()) << text;
}

TEST(GroupConfig, GivesEnginesTheirShares) {
  const std::vector<GroupConfig> groups = {{.name = "door", .concurrent = 3},
                                           {.name = "chat", .share = "50%", .max = "80%"},
                                           {.name = "batch", .weight = 3}};
  EXPECT_EQ(shares_of(groups), (LiveGroupShares::Table{{.name = "chat", .share = 0.5, .max = 0.8},
                                                       {.name = "batch", .weight = 3}}));
  EXPECT_TRUE(check_shares(groups).empty());
  EXPECT_TRUE(check_shares({{.name = "a", .share = "33.3%"}, {.name = "b", .share = "66.7%"}}).empty());
  EXPECT_EQ(check_shares({{.name = "a", .share = "60%"}, {.name = "b", .share = "50%"}}).size(), 1U);
  EXPECT_EQ(check_shares(std::vector<GroupConfig>(65, {.name = "a", .weight = 1})).size(), 1U);
}

}  // namespace
}  // namespace autoglm::gateway
