#include "gateway/protocol/json/members.h"

#include "gateway/protocol/json/value.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::protocol {
namespace {

using Members = std::vector<std::pair<std::string, std::string>>;

Members by_bytes(std::string_view object) {
  Members members;
  for_each_json_member(
      object, [&](const JsonMember& member) { members.emplace_back(member.name, member.value_in(object)); });
  return members;
}

std::vector<std::string> names_by_parser(std::string_view object) {
  std::vector<std::string> names;
  const auto visited =
      visit_json_object(object, [&](std::string_view name, const JsonValue& /*value*/) -> Result<void> {
        names.emplace_back(name);
        return {};
      });
  EXPECT_TRUE(visited) << object;
  return names;
}

TEST(JsonMembers, HaveTheNamesThatACodecReads) {
  for (const std::string_view object : {
           R"({"model":"a"})",
           R"({"m\u006fdel":"a"})",
           R"({"\u006D\u006F\u0064\u0065\u006C":"a"})",
           R"({"mod\/el":1,"\b\f\n\r\t":2,"\"":3,"\\":4,"\\u006f":5})",
           R"({"":1,"\u0000":2,"a\u0000b":3})",
           R"({"\u00e9\u4e2d\ud83d\ude42é中🙂":1,"\uD83D\uDE42x":2})",
           R"( { "a" : { "b" : 1 } , "a" : [ ] } )",
       }) {
    std::vector<std::string> names;
    for (const auto& [name, value] : by_bytes(object)) names.push_back(name);
    EXPECT_EQ(names, names_by_parser(object)) << object;
  }
}

TEST(JsonMembers, HaveTheirValuesAsTheyStand) {
  EXPECT_EQ(by_bytes(R"( { "a" : { "b" : "}" } , "\u0061":[ 1 , "]" ],"c":"\"" , "d" : -1e3 } )"),
            (Members{{"a", R"({ "b" : "}" })"}, {"a", R"([ 1 , "]" ])"}, {"c", R"("\"")"}, {"d", "-1e3"}}));
}

}  // namespace
}  // namespace autoglm::protocol
