#include "config/render.h"
#include "config/testing/sample.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <regex>

namespace autoglm::config {
namespace {

namespace json = boost::json;

json::value sample_schema() {
  return json::parse(json_schema(*testing::describe_sample().description(), "sample"));
}

TEST(JsonSchema, IsOfDraft202012AndForbidsUnknownKeys) {
  const json::value schema = sample_schema();
  EXPECT_EQ(schema.at("$schema").as_string(), "https://json-schema.org/draft/2020-12/schema");
  EXPECT_FALSE(schema.at("additionalProperties").as_bool());
  EXPECT_FALSE(schema.at_pointer("/properties/models/items/additionalProperties").as_bool());
  EXPECT_EQ(schema.at_pointer("/properties/models/items/required/0").as_string(), "name");
}

TEST(JsonSchema, HasBoundsDefaultsAndFlags) {
  const json::value schema = sample_schema();
  const auto& percent =
      schema.at_pointer("/properties/models/items/properties/breaker/properties/error_percent");
  EXPECT_EQ(percent.at_pointer("/anyOf/0/minimum").to_number<int>(), 1);
  EXPECT_EQ(percent.at_pointer("/anyOf/0/maximum").to_number<int>(), 100);
  EXPECT_EQ(percent.at("default").as_int64(), 50);
  const auto& model = schema.at_pointer("/properties/models/items/properties");
  EXPECT_TRUE(model.at_pointer("/api_key/writeOnly").as_bool());
  EXPECT_FALSE(model.at("api_key").as_object().contains("default"));
  EXPECT_EQ(model.at_pointer("/balance/anyOf/0/enum/1").as_string(), "least_load");
  EXPECT_EQ(schema.at_pointer("/properties/server/properties/workers/anyOf/0/maximum").to_number<int>(),
            1024);
  EXPECT_TRUE(schema.at_pointer("/properties/server/properties/max_body/x-live").as_bool());
}

TEST(JsonSchema, RefersOnlyToWhatItDefines) {
  const std::string text = json_schema(*testing::describe_sample().description(), "sample");
  const std::regex reference(R"re("\$ref":"?\s*"#([^"]+)")re");
  int count = 0;
  const json::value schema = json::parse(text);
  for (std::sregex_iterator it(text.begin(), text.end(), reference), end; it != end; ++it, ++count) {
    EXPECT_NO_THROW(schema.at_pointer((*it)[1].str())) << (*it)[0];
  }
  EXPECT_GT(count, 5);
}

TEST(JsonSchema, ItsPatternsTakeWhatTheReaderTakes) {
  const auto pattern_at = [schema = sample_schema()](const char* pointer) {
    return std::regex(std::string(schema.at_pointer(pointer).as_string()), std::regex::ECMAScript);
  };
  const auto duration = pattern_at("/properties/server/properties/idle/anyOf/0/anyOf/0/pattern");
  for (const char* text : {"30s", "1m30s", "500ms", "1.5h", "30", "10 us"})
    EXPECT_TRUE(std::regex_search(text, duration)) << text;
  for (const char* text : {"soon", "-1s", "1w", ""}) EXPECT_FALSE(std::regex_search(text, duration)) << text;
  const auto size = pattern_at("/properties/server/properties/max_body/anyOf/0/pattern");
  for (const char* text : {"16MiB", "1GB", "4096", "512kb", "256Mi", "7B"})
    EXPECT_TRUE(std::regex_search(text, size)) << text;
  for (const char* text : {"16m", "big", ""}) EXPECT_FALSE(std::regex_search(text, size)) << text;
}

}  // namespace
}  // namespace autoglm::config
