#include "gateway/protocol/responses/stored.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace autoglm::protocol::responses {
namespace {

const std::vector<std::string> kItems = {R"({"id":"a"})", R"({"id":"b"})", R"({"id":"c"})"};

TEST(StoredResponses, ItemsComeInPages) {
  EXPECT_EQ(
      item_list(kItems, "").value(),
      R"({"object":"list","data":[{"id":"c"},{"id":"b"},{"id":"a"}],"first_id":"c","last_id":"a","has_more":false})");
  EXPECT_EQ(
      item_list(kItems, "order=asc&limit=2").value(),
      R"({"object":"list","data":[{"id":"a"},{"id":"b"}],"first_id":"a","last_id":"b","has_more":true})");
  EXPECT_EQ(item_list(kItems, "limit=2&after=b&order=asc").value(),
            R"({"object":"list","data":[{"id":"c"}],"first_id":"c","last_id":"c","has_more":false})");
  EXPECT_EQ(item_list(kItems, "after=a").value(),
            R"({"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false})");
  EXPECT_EQ(item_list({}, "").value(),
            R"({"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false})");
}

TEST(StoredResponses, WrongPagesAreNamed) {
  for (const auto& [query, param] :
       {std::pair("order=up", "order"), std::pair("limit=0", "limit"), std::pair("limit=101", "limit"),
        std::pair("limit=", "limit"), std::pair("limit=2x", "limit"), std::pair("after=z", "after")}) {
    const auto list = item_list(kItems, query);
    ASSERT_FALSE(list) << query;
    EXPECT_EQ(list.error().param, param);
  }
}

TEST(StoredResponses, ADeletionIsSaid) {
  EXPECT_EQ(deleted_body("resp_\"1"), R"({"id":"resp_\"1","object":"response","deleted":true})");
}

}  // namespace
}  // namespace autoglm::protocol::responses
