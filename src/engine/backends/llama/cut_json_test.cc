#include "engine/backends/llama/cut_json.h"

#include <boost/json.hpp>

#include <gtest/gtest.h>

#include <string>

namespace autoglm::engine {
namespace {

TEST(CutJson, IsWholeAgainWhereverItWasCut) {
  const std::string document =
      R"({"city": "Par\"is \u00e9\n", "days": [1, 2.5, -3e2, {"a": null}, []], "on": true, "more": {"x": "y"}})";
  for (std::size_t size = 1; size <= document.size(); ++size) {
    const std::string cut = document.substr(0, size);
    const auto whole = whole_json(cut, 16);
    ASSERT_TRUE(whole) << cut;
    boost::system::error_code error;
    const auto value = boost::json::parse(*whole, error);
    EXPECT_FALSE(error) << cut << " became " << *whole;
    EXPECT_TRUE(value.is_object()) << cut;
  }
  EXPECT_EQ(whole_json(document, 16), document);
}

TEST(CutJson, KeepsWhatWasSaid) {
  const auto whole = [](const std::string& cut) { return whole_json(cut, 16).value_or("none"); };
  EXPECT_EQ(whole(R"({"city": "Par)"), R"({"city": "Par"})");
  EXPECT_EQ(whole(R"({"city": "Par\)"), R"({"city": "Par"})");
  EXPECT_EQ(whole(R"({"city": "Par\u00)"), R"({"city": "Par"})");
  EXPECT_EQ(whole(R"({"a": [1, {"b": "c)"), R"({"a": [1, {"b": "c"}]})");
  EXPECT_EQ(whole(R"({"a": 12)"), R"({"a": 12})");
  EXPECT_EQ(whole(R"({"a": 1, "b)"), R"({"a": 1})");
  EXPECT_EQ(whole(R"({"a": 1, "b": tr)"), R"({"a": 1})");
  EXPECT_EQ(whole("{"), "{}");
}

TEST(CutJson, IsNotMadeOfWhatBeginsNoJson) {
  for (const char* wrong : {"{nope", "}", R"({"a" 1)", R"({"a": 1]})", "Paris"})
    EXPECT_FALSE(whole_json(wrong, 16)) << wrong;
  EXPECT_TRUE(whole_json(std::string(16, '['), 16));
  EXPECT_FALSE(whole_json(std::string(17, '['), 16)) << "nested too deep, cut or not";
}

}  // namespace
}  // namespace autoglm::engine
