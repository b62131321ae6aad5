#include "cluster/registries/file/target_file.h"

#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

std::string mistake_in(const std::string& text) {
  const auto read = read_target_file("m.yaml", text);
  return read ? "none" : read.error().message;
}

TEST(TargetFile, ReadsWhatPrometheusReads) {
  const std::vector<Instance> expected = {
      {.host = "10.0.0.1", .port = 8000, .metadata = {{"env", "prod"}}},
      {.host = "fe80::1", .port = 8001, .metadata = {{"env", "prod"}}},
      {.host = "b", .port = 1, .weight = 3, .metadata = {{"__weight__", "3"}}}};
  EXPECT_EQ(*read_target_file("m.json",
                              R"([{"targets": ["10.0.0.1:8000", "[fe80::1]:8001"], "labels": {"env": "prod"}},
                                            {"labels": {"__weight__": "3"}, "targets": ["b:1"]}, {"targets": []}])"),
            expected);
  EXPECT_EQ(*read_target_file("m.yaml",
                              "- targets: ['10.0.0.1:8000', '[fe80::1]:8001']\n  labels: {env: prod}\n"
                              "- targets:\n  - b:1\n  labels:\n    __weight__: 3\n"),
            expected);
  EXPECT_EQ(read_target_file("m.yaml", "[]")->size(), 0U);
}

TEST(TargetFile, NamesEachMistakeWithItsPlace) {
  EXPECT_EQ(mistake_in(""), "m.yaml: must be a list of groups with `targets`; an empty one is []");
  EXPECT_EQ(mistake_in("{}"), "m.yaml: must be a list of groups with `targets`; an empty one is []");
  EXPECT_EQ(mistake_in("- targets:\n  - a:1\n  - b\n"), "m.yaml:3:5: \"b\" is no \"host:port\"");
  EXPECT_EQ(mistake_in("- targets: a:1"), "m.yaml:1:3: a group must have `targets`, a list");
  EXPECT_EQ(mistake_in("- labels: {a: b}"), "m.yaml:1:3: a group must have `targets`, a list");
  EXPECT_EQ(mistake_in("- a:1"), "m.yaml:1:3: a group must have `targets`, and may have `labels`");
  EXPECT_TRUE(
      mistake_in("- targets: [a:1]\n  labels: {__weight__: no}").contains("must be a number from 1 on"));
  EXPECT_TRUE(mistake_in("- targets: [a:1]\n  labels: {x: []}").contains("must be a text"));
  EXPECT_TRUE(mistake_in("- targets: [a:1").starts_with("m.yaml:")) << "it is being written";
  for (const char* wrong : {"a:0", "a:65536", ":1", "a:", "a:1/v1", "http://a:1", "a b:1", "u@a:1"})
    EXPECT_TRUE(mistake_in(std::string("- targets: ['") + wrong + "']").contains("is no \"host:port\""))
        << wrong;
}

}  // namespace
}  // namespace autoglm::cluster
