#include "app/keys/key_text.h"

#include <gmock/gmock.h>

namespace autoglm::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(KeyText, OptionsBecomeABody) {
  const KeysOptions options{.name = "alice",
                            .tenant = "a",
                            .models = {"x", "y*"},
                            .limits = {"rps"},
                            .labels = {"team=search=1", "note="},
                            .priority = 5,
                            .budget_tokens = 10,
                            .expires = "30d"};
  EXPECT_EQ(key_body(options),
            R"({"name":"alice","tenant":"a","models":["x","y*"],"priority":5,"limits":["rps"],)"
            R"("budget":{"tokens":10,"cost":0,"per":"month"},"expires":"30d",)"
            R"("labels":{"team":"search=1","note":""}})");
  EXPECT_EQ(key_body({.name = "bob", .budget_tokens = 1, .budget_hard = true}),
            R"({"name":"bob","budget":{"tokens":1,"cost":0,"per":"month","hard":true}})");
  EXPECT_EQ(key_body({.name = "bob"}), R"({"name":"bob"})");
  EXPECT_FALSE(key_body({.name = "bob", .labels = {"team"}}));
  EXPECT_EQ(rotation_body({.grace = "1h"}), R"({"grace":"1h"})");
  EXPECT_EQ(rotation_body({}), "{}");
}

TEST(KeyText, FindsWhatAnAnswerHas) {
  EXPECT_EQ(key_in(R"({"key":"sk-x","name":"alice"})"), "sk-x");
  EXPECT_EQ(state_in(R"({"name":"alice","state":"revoked"})"), "revoked");
  for (const char* other : {"", "<html>", "{}", "[]", R"({"key":null,"state":null})"}) {
    EXPECT_EQ(key_in(other), "") << other;
    EXPECT_EQ(state_in(other), "") << other;
  }
}

constexpr std::string_view kList =
    R"({"keys":[{"name":"alice","tenant":"a","state":"active","tail":"wxyz","source":"store"},)"
    R"({"name":"bob-the-second","tenant":"b","state":"revoked","tail":"1234","source":"store",)"
    R"("expires":"2027-01-31T00:00:00Z"},{"name":"carol","tenant":"a\u001b[2J","state":"active","source":"config"}]})";

TEST(KeyText, AListBecomesATable) {
  EXPECT_EQ(key_table(kList, false, Paint(false)),
            "NAME   TENANT  STATE   KEY    EXPIRES  FROM\n"
            "alice  a       active  …wxyz  never    store\n"
            "carol  a [2J   active  -      never    config\n"
            "1 revoked or expired: --all shows them\n");
  EXPECT_THAT(key_table(kList, true, Paint(false)),
              HasSubstr("bob-the-second  b       revoked  …1234  2027-01-31T00:00:00Z  store\n"));
  EXPECT_THAT(key_table(R"({"keys":[]})", false, Paint(false)), HasSubstr("keys create"));
}

TEST(KeyText, AKeyBecomesLines) {
  const std::string text =
      key_facts(R"({"name":"alice","models":["x","y*"],"priority":5,"limits":[],"labels":{"team":"t"},)"
                R"("budget":{"tokens":10,"per":"day"},"state":"active"})",
                Paint(false));
  EXPECT_EQ(text,
            "name           alice\n"
            "state          active\n"
            "models         x, y*\n"
            "priority       5\n"
            "budget         tokens=10, per=day\n"
            "labels         team=t\n");
}

TEST(KeyText, FindsTheKey) {
  EXPECT_EQ(key_in(R"({"key":"sk-1"})"), "sk-1");
  EXPECT_EQ(key_in("no JSON"), "");
}

}  // namespace
}  // namespace autoglm::app
