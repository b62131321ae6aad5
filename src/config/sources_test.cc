#include "config/sources.h"

#include "config/load.h"
#include "config/testing/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

namespace autoglm::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Merged {
  Node tree;
  std::vector<std::string> problems;
};

Merged merged(const TextSources& sources) {
  Merged out;
  Diagnostics problems;
  merge(*testing::describe_sample().description(), sources.list(), out.tree, problems);
  for (const Diagnostic& problem : problems) out.problems.push_back(problem.to_string());
  return out;
}

std::string text_at(const Node& tree, std::string_view path) {
  const Node* node = find(tree, path);
  return node != nullptr ? node->text : "(nothing)";
}

TEST(Merge, NamesVariablesAfterPaths) {
  EXPECT_EQ(environment_name("server.max_body"), "OPEN_AUTOGLM_SERVER_MAX_BODY");
  const Merged result = merged({.environment = {{"OPEN_AUTOGLM_SERVER_MAX_BODY", "1MiB"}, {"OTHER", "x"}}});
  EXPECT_THAT(result.problems, ElementsAre());
  EXPECT_EQ(text_at(result.tree, "server.max_body"), "1MiB");
  EXPECT_EQ(find(result.tree, "server.max_body")->location.to_string(),
            "environment variable OPEN_AUTOGLM_SERVER_MAX_BODY");
}

TEST(Merge, ReportsVariablesThatNameNoKey) {
  EXPECT_THAT(
      merged({.environment = {{"OPEN_AUTOGLM_SERVER_LISTN", "x"}, {"OPEN_AUTOGLM_COLOUR", "x"}}}).problems,
      ElementsAre(
          "environment variable OPEN_AUTOGLM_COLOUR: names no key; docs/reference/config.md lists them",
          "environment variable OPEN_AUTOGLM_SERVER_LISTN: names no key; did you mean "
          "OPEN_AUTOGLM_SERVER_LISTEN?"));
}

TEST(Merge, IgnoresWhatKubernetesPutsIntoEveryPod) {
  EXPECT_THAT(merged({.environment = {{"OPEN_AUTOGLM_SERVICE_HOST", "10.0.0.1"},
                                      {"OPEN_AUTOGLM_SERVICE_PORT", "80"},
                                      {"OPEN_AUTOGLM_SERVICE_PORT_HTTP", "80"},
                                      {"OPEN_AUTOGLM_PORT", "tcp://10.0.0.1:80"},
                                      {"OPEN_AUTOGLM_PORT_80_TCP", "tcp://10.0.0.1:80"},
                                      {"OPEN_AUTOGLM_PORT_80_TCP_ADDR", "10.0.0.1"},
                                      {"OPEN_AUTOGLM_ADMIN_PORT_81_TCP_PROTO", "tcp"}}})
                  .problems,
              ElementsAre());
}

TEST(Merge, LeavesWhatHasTheWrongShapeToTheReader) {
  const Merged result = merged({.file_name = "f.yaml",
                                .file_text = "server: 5",
                                .environment = {{"OPEN_AUTOGLM_SERVER_WORKERS", "1"}}});
  EXPECT_EQ(text_at(result.tree, "server"), "5");
}

TEST(Merge, ALaterDocumentWinsValueByValueAndEachKeepsItsOrigin) {
  const auto document = [](const char* name, const char* text) {
    return std::make_shared<YamlSource>(name, text, Environment());
  };
  const Sources sources = {
      document("a.yaml",
               "server: { workers: 1, idle: 5s }\nmodels: [{ name: a }, { name: b }]\nlimits: { x: 1 }"),
      document("b.yaml", "server: { workers: 2 }\nmodels: [{ name: c }]\nlimits:\nbreaker: { window: 1s }"),
      std::make_shared<EnvironmentSource>(
          Environment{{"OPEN_AUTOGLM_SERVER_IDLE", "6s"}, {"IDLE", "7s"}},
          std::vector<Alias>{{"IDLE", "server.idle"}, {"NONE", "server.idle"}})};
  Node tree;
  Diagnostics problems;
  ASSERT_TRUE(merge(*testing::describe_sample().description(), sources, tree, problems));
  const auto at = [&](const char* path) {
    const Node* node = find(tree, path);
    return node == nullptr ? "(nothing)" : node->text + ", " + node->location.to_string();
  };
  EXPECT_EQ(at("server.workers"), "2, b.yaml:1:20");
  EXPECT_EQ(at("server.idle"), "7s, environment variable IDLE");
  EXPECT_EQ(at("models[0].name"), "c, b.yaml:2:18");
  EXPECT_EQ(at("models[1].name"), "(nothing)") << "lists are laid over whole";
  EXPECT_EQ(at("limits.x"), "1, a.yaml:3:14") << "an empty value says nothing";
  EXPECT_EQ(at("breaker.window"), "1s, b.yaml:4:20");
  EXPECT_TRUE(problems.empty());
}

TEST(Merge, AMistakeInALaterDocumentIsFoundThere) {
  const auto document = [](const char* name, const char* text) {
    return std::make_shared<YamlSource>(name, text, Environment());
  };
  const auto loaded = load(testing::describe_sample(), Sources{document("a.yaml", "server: { workers: 1 }"),
                                                               document("b.yaml", "server: 5")});
  ASSERT_FALSE(loaded);
  EXPECT_TRUE(to_string(loaded.error()).starts_with("b.yaml:1:9: server: ")) << to_string(loaded.error());
  Node tree;
  Diagnostics problems;
  EXPECT_FALSE(merge(*testing::describe_sample().description(),
                     {document("a.yaml", "server: ["), document("b.yaml", "server: { workers: 1 }")}, tree,
                     problems));
}

TEST(Expand, ReplacesVariablesEverywhere) {
  const Merged result = merged({.file_name = "f.yaml",
                                .file_text = "a: \"x${env:A}y${env:B:-none}\"\nb: [\"${env:EMPTY:-d}\", "
                                             "\"${env:EMPTY}\", \"$${env:A}\", \"$5\"]\n"
                                             "c: ${env:PORT:-8:0}\n",
                                .environment = {{"A", "${env:A}"}, {"EMPTY", ""}}});
  EXPECT_THAT(result.problems, ElementsAre());
  EXPECT_EQ(text_at(result.tree, "a"), "x${env:A}ynone");  // a variable's value is not expanded again
  EXPECT_EQ(text_at(result.tree, "b[0]"), "d");
  EXPECT_EQ(text_at(result.tree, "b[1]"), "");
  EXPECT_EQ(text_at(result.tree, "b[2]"), "${env:A}");
  EXPECT_EQ(text_at(result.tree, "b[3]"), "$5");
  EXPECT_EQ(text_at(result.tree, "c"), "8:0");
}

TEST(Expand, ReadsAFileThatHoldsASecretAndNothingElse) {
  const auto folder = std::filesystem::temp_directory_path() / ("expand-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "secret") << "s3cret ${env:A}\r\n\n";
  std::ofstream(folder / "long") << std::string(70'000, 'x');
  const auto text_of = [&](const std::string& file) {
    return merged({.file_name = "f.yaml",
                   .file_text = "a: \"x${file:" + (folder / file).string() + "}y\"\n",
                   .environment = {{"A", "a"}}});
  };
  const Merged good = text_of("secret");
  EXPECT_THAT(good.problems, ElementsAre());
  EXPECT_EQ(text_at(good.tree, "a"), "xs3cret ${env:A}y") << "a secret is not expanded again";
  EXPECT_THAT(text_of("none").problems, ElementsAre(HasSubstr("none\" cannot be read: No such file")));
  EXPECT_THAT(text_of("long").problems, ElementsAre(HasSubstr("has more than 64 KiB")));
  EXPECT_THAT(text_of("").problems, ElementsAre(HasSubstr("is no regular file")));
  std::filesystem::remove_all(folder);
}

TEST(Expand, LocatesWhatItCannotReplace) {
  EXPECT_THAT(
      merged({.file_name = "f.yaml",
              .file_text = "a: \"${env:KEY}\"\nb: \"${KEY}\"\nc: \"${env:KEY\"\nd: \"${env:1X}\"\n"})
          .problems,
      ElementsAre(
          "f.yaml:1:4: a: the environment variable KEY is not set; set it, or write ${env:KEY:-default}",
          "f.yaml:2:4: b: cannot expand \"${KEY}\"; write ${env:NAME} or ${file:PATH}, or $${ for the text "
          "${",
          "f.yaml:3:4: c: ${ without its }; write ${env:NAME} or ${file:PATH}, or $${ for the text ${",
          "f.yaml:4:4: d: cannot expand \"${env:1X}\"; write ${env:NAME} or ${env:NAME:-default}"));
}

}  // namespace
}  // namespace autoglm::config
