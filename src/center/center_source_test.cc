#include "center/center_source.h"

#include "config/load.h"

#include <gtest/gtest.h>

namespace autoglm::center {
namespace {

struct Small {
  int a = 1, b = 2;
};

config::Descriptor<Small> describe_small() {
  return config::Descriptor<Small>("small", "A small one.")
      .field("a", &Small::a, {.doc = "A."})
      .field("b", &Small::b, {.doc = "B."});
}

class CenterSourceTest : public ::testing::Test {
 protected:
  /// What a file with `b: 3` and the center say together; or the first mistake.
  std::string read() {
    const auto loaded = config::load(
        describe_small(),
        config::Sources{std::make_shared<config::YamlSource>("file", "b: 3", config::Environment()), source});
    if (!loaded) return loaded.error().front().to_string();
    return std::to_string(loaded->a) + " " + std::to_string(loaded->b);
  }
  bool changed() { return source->changed({}); }

  std::shared_ptr<CenterSource> source = std::make_shared<CenterSource>("etcd /k", config::Environment());
};

TEST_F(CenterSourceTest, SaysNothingBeforeTheCenterDoes) {
  EXPECT_FALSE(changed());
  EXPECT_EQ(read(), "1 3");
}

TEST_F(CenterSourceTest, AnOfferIsLaidOverTheFileAndStaysWhenItIsTakenIn) {
  EXPECT_TRUE(source->offer({.text = "a: 7", .version = "1"}));
  EXPECT_EQ(read(), "1 3") << "nobody has looked yet";
  EXPECT_TRUE(changed());
  EXPECT_EQ(read(), "7 3");
  source->accept();
  EXPECT_FALSE(changed());
  EXPECT_EQ(read(), "7 3");
  EXPECT_EQ(source->in_force()->version, "1");
  EXPECT_FALSE(source->offered());
}

TEST_F(CenterSourceTest, ARefusedOfferLeavesTheOldOneAndIsTriedAgainWhenAsked) {
  source->offer({.text = "a: 7", .version = "1"});
  changed();
  source->accept();
  EXPECT_TRUE(source->offer({.text = "a: x", .version = "2"}));
  EXPECT_TRUE(changed());
  EXPECT_TRUE(read().starts_with("etcd /k:1:4: a: ")) << read();
  EXPECT_TRUE(source->refuse("no number"));
  EXPECT_EQ(read(), "7 3");
  EXPECT_EQ(source->why_refused(), "no number");
  EXPECT_FALSE(source->offer({.text = "a: x", .version = "3"})) << "the same text is as wrong as before";
  EXPECT_FALSE(changed());
  EXPECT_TRUE(source->try_offer());
  EXPECT_TRUE(source->refuse("still none"));
  EXPECT_FALSE(source->refuse("the file's fault")) << "the center's text did not stand in the way";
  EXPECT_TRUE(source->offer({.text = "a: 8", .version = "4"}));
  EXPECT_EQ(source->why_refused(), "");
  EXPECT_TRUE(changed());
  source->accept();
  EXPECT_EQ(read(), "8 3");
}

TEST_F(CenterSourceTest, ACenterThatGoesBackTakesItsOfferBack) {
  source->offer({.text = "a: 7", .version = "1"});
  changed();
  source->accept();
  source->offer({.text = "a: 8", .version = "2"});
  EXPECT_FALSE(source->offer({.text = "a: 7", .version = "3"}));
  EXPECT_FALSE(changed());
  EXPECT_EQ(source->in_force()->version, "3");
  EXPECT_EQ(read(), "7 3");
}

TEST_F(CenterSourceTest, RefusesWhatSeemsToBeAPartAndItsOwnAddress) {
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"", "is empty"}, {"a: 7\nb:", "b"}, {"center: {}\n", "in the center's own text"}}) {
    source->offer({.text = text, .version = ""});
    source->try_offer();
    EXPECT_TRUE(read().contains(why)) << text << ": " << read();
  }
}

}  // namespace
}  // namespace autoglm::center
