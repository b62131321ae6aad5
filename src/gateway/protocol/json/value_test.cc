#include "gateway/protocol/json/value.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::protocol {
namespace {

constexpr auto visit_nothing = [](std::string_view /*key*/, const JsonValue& /*value*/) -> Result<void> {
  return {};
};

std::string error_of(std::string_view body) {
  const auto result = visit_json_object(body, visit_nothing);
  return result ? "accepted" : result.error().message;
}

TEST(VisitJsonObject, SaysWhatIsWrongWithTheDocument) {
  EXPECT_NE(error_of("").find("empty"), std::string::npos);
  EXPECT_NE(error_of("{\"a\": ").find("not valid JSON"), std::string::npos);
  EXPECT_NE(error_of("[1]").find("must be a JSON object"), std::string::npos);
  EXPECT_NE(error_of("\"text\"").find("must be a JSON object"), std::string::npos);
  EXPECT_NE(error_of("{\"a\":\"\xff\xfe\"}").find("UTF-8"), std::string::npos);
  EXPECT_NE(error_of("{\"a\":1} trailing").find("not valid JSON"), std::string::npos);
  EXPECT_NE(error_of("{\"a\":NaN}").find("not valid JSON"), std::string::npos);
}

TEST(VisitJsonObject, BoundsNesting) {
  const auto nested = [](std::size_t levels) {
    return "{\"a\":" + std::string(levels - 1, '[') + std::string(levels - 1, ']') + "}";
  };
  EXPECT_TRUE(visit_json_object(nested(127), visit_nothing));
  for (const std::size_t levels : {129UZ, 100'000UZ})
    EXPECT_NE(error_of(nested(levels)).find("nests deeper than 128"), std::string::npos) << levels;
}

TEST(VisitJsonObject, NamesTheFieldOfAHugeNumber) {
  const auto result =
      visit_json_object(R"({"prompt":"x","max_tokens":99999999999999999999999})", visit_nothing);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().param, "max_tokens");
}

TEST(VisitJsonObject, NamesThePlaceOfAHugeNumber) {
  const std::string huge = "123456789012345678901234567890";
  const auto place = [&](const std::string& before, const std::string& behind) {
    const auto result = visit_json_object(before + huge + behind, visit_nothing);
    return result ? "accepted" : result.error().param;
  };
  EXPECT_EQ(place(R"({"prompt":"x","logit_bias":{"5":)", "}}"), "logit_bias.5");
  EXPECT_EQ(place(R"({"prompt":[1,2,-)", "]}"), "prompt[2]");
  EXPECT_EQ(place(R"({"a":[{"b":[[0],[1,)", R"(]]}],"c":1})"), "a[0].b[1][1]");
  EXPECT_EQ(place(R"({"a":1e400,"b":)", "}"), "a");
}

TEST(VisitJsonObject, SurvivesAMillionKeys) {
  std::string body = "{";
  for (int i = 0; i < 1'000'000; ++i) body += "\"k" + std::to_string(i) + "\":0,";
  body += "\"end\":1}";
  std::size_t count = 0;
  const auto result = visit_json_object(body, [&](std::string_view, const JsonValue&) -> Result<void> {
    ++count;
    return {};
  });
  EXPECT_TRUE(result.has_value());
  EXPECT_EQ(count, 1'000'001U);
}

TEST(JsonValue, NamesFieldRuleAndValue) {
  const auto result = visit_json_object(R"({"temperature":"hot"})",
                                        [](std::string_view, const JsonValue& value) -> Result<void> {
                                          return fail(value.as_number(0, 2).error());
                                        });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "temperature must be a number between 0 and 2, got \"hot\"");
  EXPECT_EQ(result.error().param, "temperature");
}

TEST(JsonValue, AcceptsWholeNumbersWrittenAsReals) {
  const auto read = [](std::string_view body) {
    std::int64_t number = -1;
    const auto result =
        visit_json_object(body, [&](std::string_view, const JsonValue& value) -> Result<void> {
          const auto integer = value.as_integer(0, 100);
          if (!integer) return fail(integer.error());
          number = *integer;
          return {};
        });
    return result ? number : -1;
  };
  EXPECT_EQ(read(R"({"a":16})"), 16);
  EXPECT_EQ(read(R"({"a":16.0})"), 16);
  EXPECT_EQ(read(R"({"a":16.5})"), -1);
  EXPECT_EQ(read(R"({"a":101})"), -1);
  EXPECT_EQ(read(R"({"a":true})"), -1);
}

TEST(JsonPath, SpellsOutNestedPlaces) {
  std::string path;
  const auto result =
      visit_json_object(R"({"messages":[{},{"role":7}]})", [&](std::string_view, const JsonValue& list) {
        return list.for_each_item([&](const JsonValue& item) {
          return item.for_each_member([&](std::string_view, const JsonValue& role) -> Result<void> {
            path = role.path();
            return {};
          });
        });
      });
  EXPECT_TRUE(result.has_value());
  EXPECT_EQ(path, "messages[1].role");
}

}  // namespace
}  // namespace autoglm::protocol
