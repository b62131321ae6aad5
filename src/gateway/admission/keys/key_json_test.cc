#include "gateway/admission/keys/key_json.h"

#include "gateway/admission/keys/expiry.h"

#include <gmock/gmock.h>

namespace autoglm::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const WallTime kNow = *parse_moment("2026-12-01T00:00:00Z");

std::string field_at_fault(std::string_view body) {
  const auto key = read_key(body, kNow);
  return key ? "" : key.error().param;
}

TEST(KeyJson, ReadsWhatAConfiguredKeyHas) {
  const auto key =
      read_key(R"({"name":"alice","tenant":"a","group":"chat","models":["x","y*"],"priority":5,)"
               R"("limits":["rps"],"budget":{"tokens":10,"per":"day","hard":true},"expires":"30d",)"
               R"("labels":{"team":"search \"1\""}})",
               kNow);
  ASSERT_TRUE(key) << key.error().message;
  KeyConfig wanted{.name = "alice",
                   .key = "",
                   .tenant = "a",
                   .group = "chat",
                   .models = {"x", "y*"},
                   .priority = 5,
                   .limits = {"rps"},
                   .budget = BudgetConfig{.tokens = 10, .cost = 0, .per = BudgetPeriod::kDay, .hard = true},
                   .expires = "2026-12-31T00:00:00Z",
                   .labels = {{"team", "search \"1\""}}};
  EXPECT_EQ(*key, wanted);
  EXPECT_EQ(*read_key(rights_json(wanted), WallTime()), wanted) << "as the store has it";
}

TEST(KeyJson, AKeyIsItsOwnTenant) { EXPECT_EQ(read_key(R"({"name":"a"})", kNow)->tenant, "a"); }

TEST(KeyJson, RefusesWhatItDoesNotUnderstand) {
  EXPECT_EQ(field_at_fault("{}"), "name");
  EXPECT_EQ(field_at_fault(R"({"name":"a b"})"), "name");
  EXPECT_EQ(field_at_fault(R"({"name":"../a"})"), "name");
  EXPECT_EQ(field_at_fault(R"({"name":"a/b"})"), "name");
  EXPECT_EQ(field_at_fault(R"({"name":"jwt:alice"})"), "name") << "a token's caller has such a name";
  EXPECT_EQ(field_at_fault(R"({"name":"a","expire":"30d"})"), "expire") << "it would never end";
  EXPECT_EQ(field_at_fault(R"({"name":"a","expires":"soon"})"), "expires");
  EXPECT_EQ(field_at_fault(R"({"name":"a","models":[]})"), "models");
  EXPECT_EQ(field_at_fault(R"({"name":"a","models":[""]})"), "models");
  EXPECT_EQ(field_at_fault(R"({"name":"a","priority":10})"), "priority");
  EXPECT_EQ(field_at_fault(R"({"name":"a","budget":{}})"), "budget.tokens");
  EXPECT_EQ(field_at_fault(R"({"name":"a","budget":{"token":1}})"), "budget.token");
  EXPECT_EQ(field_at_fault(R"({"name":"a","budget":{"tokens":-1}})"), "budget.tokens");
  EXPECT_EQ(field_at_fault(R"({"name":"a","budget":{"tokens":1,"hard":1}})"), "budget.hard");
  EXPECT_EQ(field_at_fault(R"({"name":"a","labels":{"b":1}})"), "labels.b");
  EXPECT_EQ(field_at_fault(R"({"name":"a","tenant":")" + std::string(257, 'x') + "\"}"), "tenant");
  EXPECT_THAT(read_key(R"({"name":"a","expire":"30d"})", kNow).error().message, HasSubstr("\"expires\""));
}

TEST(KeyJson, ReadsAGrace) {
  EXPECT_EQ(read_grace(""), Duration::zero());
  EXPECT_EQ(read_grace("{}"), Duration::zero());
  EXPECT_EQ(read_grace(R"({"grace":"1h"})"), std::chrono::hours(1));
  for (const char* wrong : {R"({"grace":"x"})", R"({"grace":1})", R"({"grace":"91d"})", R"({"gracce":"1h"})"})
    EXPECT_FALSE(read_grace(wrong)) << wrong;
}

TEST(KeyJson, ShowsAKeyOnceAndItsStateAlways) {
  MadeKey made{.stored = {.rights = {.name = "a", .key = "", .expires = "2026-12-01T00:00:00Z"},
                          .digest = digest_of_key("sk-secret"),
                          .tail = "cret",
                          .created = kNow,
                          .revoked = std::nullopt,
                          .previous = StoredKey::Previous{.digest = {}, .until = kNow}},
               .key = "sk-secret"};
  EXPECT_THAT(made_json(made, kNow), HasSubstr(R"("key":"sk-secret")"));
  std::string shown;
  append_key(shown, made.stored, kNow - std::chrono::seconds(1));
  EXPECT_THAT(shown, HasSubstr(R"("state":"active","tail":"cret","created":"2026-12-01T00:00:00Z")"));
  EXPECT_THAT(shown, HasSubstr(R"("previous_until":"2026-12-01T00:00:00Z")"));
  EXPECT_THAT(shown, Not(HasSubstr("secret")));
  EXPECT_THAT(shown, Not(HasSubstr(to_hexadecimal(made.stored.digest))));
  shown.clear();
  append_key(shown, made.stored, kNow);
  EXPECT_THAT(shown, HasSubstr(R"("state":"expired")"));
  EXPECT_THAT(shown, Not(HasSubstr("previous_until")));
  made.stored.revoked = kNow;
  shown.clear();
  append_key(shown, made.stored, kNow);
  EXPECT_THAT(shown, HasSubstr(R"("state":"revoked")"));
}

TEST(KeyJson, AConfiguredKeyIsNotShown) {
  std::string shown;
  append_key(shown, {.name = "a", .key = "sk-0123456789abcdef"}, "config", kNow);
  EXPECT_EQ(shown, R"({"name":"a","tenant":"a","models":["*"],"priority":0,"limits":[],"labels":{},)"
                   R"("source":"config","state":"active"})");
}

}  // namespace
}  // namespace autoglm::gateway
