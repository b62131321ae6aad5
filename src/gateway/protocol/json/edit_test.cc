#include "gateway/protocol/json/edit.h"

#include <gtest/gtest.h>

namespace autoglm::protocol {
namespace {

TEST(EditMembers, LeavesEverythingElseAsItStands) {
  const JsonEdit edits[] = {{"model", "\"b\""}, {"seed", "7"}};
  EXPECT_EQ(edit_members(R"( { "x" : [1, {"model":"no"}, "}\"]"] ,"model" : "a\"}" , "y":null } )", edits),
            R"( { "x" : [1, {"model":"no"}, "}\"]"] ,"model" : "b" , "y":null ,"seed":7} )");
  EXPECT_EQ(edit_members("{}", edits), R"({"model":"b","seed":7})");
  EXPECT_EQ(edit_members(R"({"seed":1e5})", edits), R"({"seed":7,"model":"b"})");
  EXPECT_EQ(edit_members(R"({"seed":{"a":[]},"model":[]})", edits), R"({"seed":7,"model":"b"})");
  EXPECT_EQ(edit_members(R"({"a":"\\","b":"\\\""})", {}), R"({"a":"\\","b":"\\\""})");
  // A quote behind an even number of backslashes ends its string, behind an odd one it does not.
  const JsonEdit seed[] = {{"seed", "7"}};
  EXPECT_EQ(edit_members(R"({"a":"\\\\","seed":1,"b":"\\\",\"seed\":2","c":"\"","":""})", seed),
            R"({"a":"\\\\","seed":7,"b":"\\\",\"seed\":2","c":"\"","":""})");
}

TEST(EditMembers, SpaceBehindAValueIsNotPartOfIt) {
  const JsonEdit edits[] = {{"n", "1"}};
  EXPECT_EQ(edit_members("{\"n\" : 2 \n, \"m\":true\t}", edits), "{\"n\" : 1 \n, \"m\":true\t}");
  EXPECT_EQ(member_value("{\"n\" : 2 \n, \"m\":true\t}", "m"), "true");
}

TEST(EditMembers, ChangesEveryOneOfSeveralWithOneName) {
  const JsonEdit edits[] = {{"n", "1"}};
  EXPECT_EQ(edit_members(R"({"n":2,"n":3})", edits), R"({"n":1,"n":1})");
}

TEST(EditMembers, KnowsANameHoweverItIsWritten) {
  const JsonEdit edits[] = {{"model", "\"b\""}};
  EXPECT_EQ(edit_members(R"({"m\u006fdel":"a","model":"c","\u006Dodel":{}})", edits),
            R"({"m\u006fdel":"b","model":"b","\u006Dodel":"b"})");
  EXPECT_EQ(edit_members(R"({"m\\u006fdel":"a"})", edits), R"({"m\\u006fdel":"a","model":"b"})");
  EXPECT_EQ(member_value(R"({"m\u006fdel":"a"})", "model"), "\"a\"");
}

TEST(MemberValue, IsTheLastThatIsNotNull) {
  EXPECT_EQ(member_value(R"({"a":1,"a":2,"\u0061":3,"a":null})", "a"), "3");
  EXPECT_EQ(member_value(R"({"a":null})", "a"), "");
}

}  // namespace
}  // namespace autoglm::protocol
