#include "app/operator/member_text.h"

#include <gtest/gtest.h>

namespace autoglm::app {
namespace {

std::string member(const std::string& endpoint, const std::string& more) {
  return R"({"endpoint":")" + endpoint + R"(","from":"consul llm","weight":1,"asked":true,"why":"")" + more +
         "}";
}
MemberList list(const std::string& members,
                const std::string& registry = R"("up":true,"error":"","members":1)") {
  const auto read = read_members(R"({"models":[{"model":"tiny","registries":[{"registry":"consul llm",)" +
                                 registry + R"(}],"members":[)" + members + "]}]}");
  EXPECT_TRUE(read);
  return read.value_or(MemberList());
}
std::string changes(const MemberList& before, const MemberList& after) {
  return member_changes(before, after, "12:00:00", Paint(false));
}

TEST(MemberText, ATableOfAllAndWhatIsWrong) {
  EXPECT_EQ(
      member_table(list(member("10.0.0.1:8000", "") + "," +
                        R"({"endpoint":"b:1","from":"configuration","weight":3,"backup":true,"held":true,)"
                        R"("why":"its checks fail"})"),
                   Paint(false)),
      "MODEL  SERVER         FROM           STATE\n"
      "tiny   10.0.0.1:8000  consul llm     asked\n"
      "tiny   b:1            configuration  not asked: its checks fail, weight 3, backup, held: its "
      "registry no longer lists it\n");
  EXPECT_EQ(member_table(list("", R"("up":false,"error":"refused","left_out":2)"), Paint(false)),
            "no model has servers elsewhere\n"
            "tiny: consul llm cannot be asked: refused\n"
            "tiny: consul llm lists 2 more that do not count: unwell, filtered, or no address\n");
}

TEST(MemberText, ChangesAreLinesAndNothingIsNone) {
  const MemberList a = list(member("a:1", ""));
  EXPECT_EQ(changes(a, a), "");
  EXPECT_EQ(changes(a, list(member("b:1", ""))),
            "12:00:00 - tiny: a:1, from consul llm\n12:00:00 + tiny: b:1, from consul llm, asked\n");
  const MemberList ill =
      list(R"({"endpoint":"a:1","from":"consul llm","weight":1,"why":"its breaker is open"})");
  EXPECT_EQ(changes(a, ill), "12:00:00 ~ tiny: a:1 not asked: its breaker is open\n");
  EXPECT_EQ(changes(ill, a), "12:00:00 ~ tiny: a:1 asked\n");
  const MemberList gone = list(member("a:1", ""), R"("up":false,"error":"refused")");
  EXPECT_EQ(changes(a, gone), "12:00:00 ! tiny: consul llm cannot be asked: refused\n");
  EXPECT_EQ(changes(gone, a), "12:00:00 ! tiny: consul llm answers again, with 1 of its servers\n");
}

TEST(MemberText, NoEscapeOfARegistryReachesTheTerminal) {
  EXPECT_EQ(member_table(list(member("a\\u001b[2J:1", "")), Paint(false)).find('\x1b'), std::string::npos);
}

TEST(MemberText, AnythingElseIsNoList) {
  for (const char* wrong : {"", "[]", "{}", R"({"models":5})", R"({"models":[1]})", "<html>"})
    EXPECT_FALSE(read_members(wrong)) << wrong;
}

}  // namespace
}  // namespace autoglm::app
