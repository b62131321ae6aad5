#include "engine/backends/llama/schema_check.h"

#include <json-schema.h>
#include <json.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace autoglm::engine {
namespace {

/// What is wrong with `schema`; empty: nothing.
std::string refusal(std::string_view schema) {
  const auto checked = check_schema(schema);
  return checked ? "" : checked.error().message;
}

/// `count` members, each from `member` with its number in place of "{}".
std::string list(int count, fmt::format_string<int&> member) {
  std::string out;
  for (int i = 0; i < count; ++i) out += (i == 0 ? "" : ",") + fmt::format(member, i);
  return out;
}

TEST(SchemaCheck, LetsTheUsualThrough) {
  for (
      const std::string_view schema : {
          R"({})",
          R"({"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991})",
          R"({"type":"integer","minimum":-9223372036854775808,"maximum":9223372036854775807})",
          R"({"type":"integer","exclusiveMinimum":4,"exclusiveMaximum":6})",
          R"({"type":"number","minimum":1,"maximum":1})",
          R"({"type":"string","minLength":2,"maxLength":2,"pattern":"^[a-z]*$"})",
          R"({"type":["object","null"],"properties":{"a":{"type":["string","null"]}},"required":["a"]})",
          R"({"type":"object","required":["a"],"allOf":[{"properties":{"a":{"type":"null"}}}]})",
          R"({"allOf":[{"$ref":"#/$defs/e"}],"$defs":{"e":{"enum":["x","y"]}}})",
          R"({"$ref":"#/$defs/n","$defs":{"n":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"null"}]}}}}})",
          R"({"properties":{"a":true,"b":false},"items":false})",
          R"({"$ref":"#/$defs/a~1b~0%25","$defs":{"a/b~%":{"type":"null"}}})",
          R"({"type":"object","properties":{"next":{"$ref":"#"}}})",
          R"({"properties":{"a":{"minimum":5,"maximum":1,"$ref":"#/$defs/n"}},"$defs":{"n":{"type":"null"}}})",
      }) {
    EXPECT_EQ(refusal(schema), "") << schema;
  }
}

TEST(SchemaCheck, SaysWhereASchemaContradictsItself) {
  struct Case {
    const char* schema;
    const char* says;
  };
  for (const auto& [schema, says] : {
           Case{R"({"type":"integer","minimum":5,"maximum":1})", "at #: no number is within its bounds"},
           Case{R"({"type":"integer","exclusiveMinimum":5,"exclusiveMaximum":6})", "no number"},
           Case{R"({"type":"integer","minimum":1.2,"maximum":1.8})", "no number"},
           Case{R"({"type":"number","exclusiveMinimum":5,"maximum":5})", "no number"},
           Case{R"({"type":"integer","maximum":18446744073709551615})", "maximum is beyond 64 bits"},
           Case{R"({"type":["null","integer"],"minimum":-1e300})", "minimum is beyond 64 bits"},
           Case{R"({"type":"integer","minimum":9007199254740993,"maximum":9007199254740992})", "no number"},
           Case{R"({"type":"integer","exclusiveMinimum":9223372036854775807})", "no number"},
           Case{R"({"type":"integer","minimum":5,"exclusiveMinimum":true,"maximum":5})", "no number"},
           Case{R"({"type":"integer","minimum":"5"})", "minimum must be a number"},
           Case{R"({"$ref":"#/$defs/absent"})", "at #: cannot resolve $ref #/$defs/absent"},
           Case{R"({"$ref":"#/$defs/a~2","$defs":{"a~2":{}}})", "~ is followed by 0 or 1"},
           Case{R"({"$ref":"#/anyOf/00","anyOf":[{}]})", "00 is out of range"},
           Case{R"({"$ref":"other.json"})", "only references into the same document"},
           Case{"false", "nothing is as the schema false says"},
           Case{R"({"properties":{"a":false},"required":["a"]})", "a is required, but its schema is false"},
           Case{R"({"type":"array","items":false,"minItems":1})", "it may not have as many items as it must"},
           Case{R"({"type":"string","minLength":5,"maxLength":1})", "minLength is above maxLength"},
           Case{R"({"type":"array","minItems":2001})", "minItems is at most 2000"},
           Case{R"({"type":"array","maxItems":4294967296})", "maxItems is at most"},
           Case{R"({"minProperties":5,"maxProperties":1})", "minProperties is above"},
           Case{R"({"properties":{"a":{"items":[{},{"type":"string","minLength":5,"maxLength":1}]}}})",
                "at #/properties/a/items/1: minLength"},
           Case{R"({"anyOf":[{"$ref":"#/$defs/b"}],"$defs":{"b":{"minItems":5,"maxItems":1}}})",
                "at #/$defs/b: minItems"},
           Case{R"({"properties":{"a":{}},"required":["b"]})",
                "b is required, but not one of its properties"},
           Case{R"({"required":"a"})", "required must be a list"},
           Case{R"({"required":[1]})", "required must be a list"},
           Case{R"({"allOf":[{"type":"integer"},{"type":"string"}]})", "allOf joins only"},
           Case{R"({"allOf":[{"$ref":"#/$defs/b"}],"$defs":{"b":{"allOf":[{}]}}})", "allOf joins only"},
           Case{R"({"allOf":[{"anyOf":[{"properties":{}},{"type":"null"}]}]})", "allOf joins only"},
           Case{"{", "not JSON"},
       }) {
    EXPECT_NE(refusal(schema).find(says), std::string::npos)
        << schema << " is refused with: " << refusal(schema);
  }
}

TEST(SchemaCheck, RefusesReferencesThatWouldOverflowTheStack) {
  for (const char unit : {'!', 'a', '/'}) {
    const std::string name(200'000, unit);
    EXPECT_NE(
        refusal(R"({"$ref":"#/$defs/)" + name + R"(","$defs":{")" + name + R"(":{}}})").find("$ref is over"),
        std::string::npos);
    EXPECT_NE(refusal(R"({"anyOf":[{"$ref":")" + name + R"("}]})").find("$ref is over"), std::string::npos);
  }
}

TEST(SchemaCheck, RefusesWhatTheConversionWouldNeverEndWith) {
  const std::string circle = R"("$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}})";
  EXPECT_NE(refusal(R"({"allOf":[{"$ref":"#/$defs/a"}],)" + circle + "}").find("refers to itself"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"$ref":"#/$defs/a",)" + circle + "}").find("refers to itself"), std::string::npos);

  // Each list of types doubles everything below it.
  std::string doubling = "{}";
  for (int i = 0; i < 20; ++i)
    doubling = R"({"type":["object","object"],"properties":{"a":)" + doubling + "}}";
  EXPECT_NE(refusal(doubling).find("over 10000 schemas"), std::string::npos);

  // A place that is spelled in many ways is converted as many times.
  const std::string big = R"({"properties":{)" + list(100, R"("p{}":{{}})") + "}}";
  const auto spelled = [&](int count) {
    std::string out;
    std::string zeros;
    for (int i = 0; i < count; ++i, zeros += "0") out += R"({"$ref":"#/prefixItems/)" + zeros + R"(0"},)";
    return R"({"prefixItems":[)" + big.substr(0, big.size()) + "],\"anyOf\":[" + out + "{}]}";
  };
  EXPECT_NE(refusal(spelled(200)).find("over 10000 schemas"), std::string::npos);

  EXPECT_EQ(refusal(R"({"properties":{)" + list(500, R"("p{}":{{}})") + "}}"), "");
  EXPECT_NE(refusal(R"({"properties":{)" + list(501, R"("p{}":{{}})") + "}}").find("over 500"),
            std::string::npos);
  EXPECT_EQ(refusal(R"({"properties":{)" + list(3000, R"("p{}":{{}})") + R"(},"required":[)" +
                    list(3000, R"("p{}")") + "]}"),
            "");

  EXPECT_NE(refusal(R"({"allOf":[{"properties":{)" + list(300, R"("p{}":{{}})") + R"(}},{"properties":{)" +
                    list(300, R"("q{}":{{}})") + "}}]}")
                .find("allOf joins over 500"),
            std::string::npos);

  const std::string chain = R"({"$ref":"#/$defs/r0","$defs":{)" +
                            list(600, R"("r{0}":{{"items":{{"$ref":"#/$defs/s{0}"}}}})") + "}}";
  std::string linked = chain;
  for (int i = 0; i < 600; ++i) {
    const std::string from = fmt::format("#/$defs/s{}\"", i);
    linked.replace(linked.find(from), from.size(), fmt::format("#/$defs/r{}\"", i + 1));
  }
  EXPECT_NE(refusal(linked).find("over 500 levels deep"), std::string::npos);

  // References that the check meets first, at a lesser depth, where the conversion does not look, must not
  // mislead it.
  linked.insert(linked.size() - 1,
                R"(,"properties":{)" + list(400, R"("p{0}":{{"$ref":"#/$defs/r{0}"}})") + "}");
  linked.replace(0, linked.find(','), R"({"anyOf":[{"$ref":"#/$defs/r0"}])");
  EXPECT_NE(refusal(linked).find("over 500 levels deep"), std::string::npos);

  const std::string megabyte(1 << 20, 'a');
  for (const char* key : {"pattern", "const", "enum"}) {
    const std::string value =
        std::string_view(key) == "enum" ? "[\"" + megabyte + "\"]" : "\"" + megabyte + "\"";
    EXPECT_NE(refusal(fmt::format(R"({{"{}":{}}})", key, value)).find("are over 1048576 bytes"),
              std::string::npos);
  }
  const std::string spaces(4 << 20, ' ');
  EXPECT_NE(refusal("{" + spaces + "}").find("over 4194304 bytes"), std::string::npos);
  const std::string name(3000, 'n');
  EXPECT_NE(refusal(R"({"properties":{")" + name + R"(":{"properties":{")" + name + R"(":{}}}}})")
                .find("over 4096 bytes"),
            std::string::npos);
}

/// Templates whose calls are not JSON ask this of every argument; each definition used to double the time.
TEST(SchemaCheck, WhetherASchemaMayBeAStringIsKnownInNoTime) {
  const std::string schema =
      R"({"$ref":"#/$defs/r0","$defs":{)" +
      list(60, R"("r{0}":{{"anyOf":[{{"$ref":"#/$defs/s{0}"}},{{"$ref":"#/$defs/s{0}"}}]}})");
  for (const char* last : {"null", "string"}) {
    std::string doubled = schema + fmt::format(R"(,"r60":{{"type":"{}"}}}}}})", last);
    for (int i = 0; i < 60; ++i) {
      const std::string from = fmt::format("#/$defs/s{}\"", i);
      for (std::size_t at; (at = doubled.find(from)) != std::string::npos;)
        doubled.replace(at, from.size(), fmt::format("#/$defs/r{}\"", i + 1));
    }
    EXPECT_EQ(refusal(doubled), "");
    const auto document = common_chat_schema_from_json(common_json::parse(doubled));
    EXPECT_EQ(document.root->may_be_string(), std::string_view(last) == "string");
  }
}

}  // namespace
}  // namespace autoglm::engine
