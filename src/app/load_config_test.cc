#include "app/load_config.h"

#include "app/builtins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace autoglm::app {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class LoadConfig : public ::testing::Test {
 protected:
  LoadConfig()
      : path_(std::filesystem::temp_directory_path() /
              ("load-config-" + std::to_string(::getpid()) + ".yaml")) {}
  ~LoadConfig() override { std::filesystem::remove(path_); }

  ServeOptions with_file(const std::string& text) {
    std::ofstream(path_) << text;
    return {.config_file = path_.string()};
  }

  /// What a running process makes of `text`, which its file has now.
  std::expected<LoadedConfig, std::string> reloaded(const std::string& text,
                                                    const Environment& environment = {},
                                                    bool serves_default_model = false) {
    const auto inputs = config_inputs(with_file(kOneModel), environment);
    inputs->file->take(text);
    return reload_config(*inputs, serves_default_model);
  }

  static constexpr const char* kOneModel = "models:\n  - { name: a, engine: { path: a.gguf } }\n";
  std::filesystem::path path_;
};

TEST_F(LoadConfig, ServesTheDefaultModelWhenNothingIsSaid) {
  const AppConfig config = load_config({}, {})->config;
  ASSERT_EQ(config.models.size(), 1U);
  EXPECT_EQ(config.models[0].engine->path, "smollm2-135m-instruct");
  EXPECT_EQ(config.server.listen.port, 8080);
  EXPECT_EQ(config.server.request_timeout, Duration(30s));
  EXPECT_TRUE(config.telemetry.metrics);
}

TEST_F(LoadConfig, ServesNoModelWhenToldSo) {
  EXPECT_TRUE(load_config({}, {{"MODEL_NAME", "none"}})->config.models.empty());
}

TEST_F(LoadConfig, TakesTheQuickStartsVariables) {
  const AppConfig config = load_config({}, {{"MODEL_NAME", "/m.gguf"},
                                            {"MAX_WORKERS", "4"},
                                            {"API_TIMEOUT", "2.5"},
                                            {"ENABLE_METRICS", "false"}})
                               ->config;
  EXPECT_EQ(config.models.at(0).engine->path, "/m.gguf");
  EXPECT_EQ(config.server.workers, 4U);
  EXPECT_EQ(config.server.request_timeout, Duration(2500ms));
  EXPECT_FALSE(config.telemetry.metrics);
}

TEST_F(LoadConfig, PrefersFlagsThenEnvironmentThenFile) {
  ServeOptions options = with_file(
      "server: { listen: 127.0.0.1:1, workers: 1, request_timeout: 1s }\nmodels: [{ engine: { path: f.gguf } "
      "}]\n");
  EXPECT_EQ(load_config(options, {})->config.server.workers, 1U);
  EXPECT_EQ(load_config(options, {})->config.models.at(0).engine->path, "f.gguf");
  EXPECT_EQ(load_config(options, {{"MAX_WORKERS", "2"}})->config.server.workers, 2U);
  options.port = 9;
  options.model = "flag.gguf";
  const AppConfig config = load_config(options, {{"MODEL_NAME", "env.gguf"}})->config;
  EXPECT_EQ(config.server.listen, (HostPort{"127.0.0.1", 9}));
  ASSERT_EQ(config.models.size(), 2U);  // the file's model is kept
  EXPECT_EQ(config.models[0].engine->path, "flag.gguf");
}

TEST_F(LoadConfig, ANameOfTheFilesModelsChoosesTheDefault) {
  const auto options = with_file(
      "models:\n  - { name: a, engine: { path: a.gguf } }\n  - { name: b, engine: { path: b.gguf } }\n");
  const AppConfig config = load_config(options, {{"MODEL_NAME", "b"}})->config;
  ASSERT_EQ(config.models.size(), 2U);
  EXPECT_EQ(config.models[0].engine->path, "b.gguf");
}

TEST_F(LoadConfig, EnginesThatDoNotSayHaveTheServersGenerationDefaults) {
  using engine::GenerationDefaults;
  ServeOptions options = with_file(
      "models:\n  - { name: a, engine: { path: a.gguf } }\n"
      "  - { name: b, engine: { path: b.gguf, generation_defaults: model } }\n");
  const auto of = [&](std::size_t i, const Environment& environment) {
    return load_config(options, environment)->config.models.at(i).engine->generation_defaults;
  };
  EXPECT_EQ(of(0, {}), GenerationDefaults::kModel);
  const Environment none = {{"OPEN_AUTOGLM_SERVER_GENERATION_DEFAULTS", "none"}};
  EXPECT_EQ(of(0, none), GenerationDefaults::kNone);
  EXPECT_EQ(of(1, none), GenerationDefaults::kModel);
  options.generation_defaults = "model";  // a flag wins over the environment
  EXPECT_EQ(of(0, none), GenerationDefaults::kModel);
  options.generation_defaults = "none";
  options.model = "c.gguf";
  EXPECT_EQ(of(0, {}), GenerationDefaults::kNone);
}

TEST_F(LoadConfig, SamplingHasRanges) {
  const auto error = [&](const std::string& sampling) {
    return load_config(with_file("models:\n  - engine: { path: a.gguf, sampling: { " + sampling + " } }\n"),
                       {})
        .error();
  };
  EXPECT_THAT(error("temperature: 3"),
              HasSubstr("yaml:2:54: models[0].engine.sampling.temperature: must be"));
  EXPECT_THAT(error("top_p: 0"), HasSubstr("models[0].engine.sampling.top_p: must be above 0"));
  EXPECT_THAT(error("top_k: 1.5"), HasSubstr("must be a whole number, got 1.5"));
}

TEST_F(LoadConfig, NamesTheVariableThatIsWrong) {
  EXPECT_THAT(load_config({}, {{"API_TIMEOUT", "soon"}}).error(),
              HasSubstr("environment variable API_TIMEOUT"));
  EXPECT_THAT(load_config({}, {{"OPEN_AUTOGLM_SERVER_LISTN", "x"}}).error(),
              HasSubstr("did you mean OPEN_AUTOGLM_SERVER_LISTEN?"));
}

TEST_F(LoadConfig, NamesFileLineAndKey) {
  const auto options = with_file(
      "server:\n  listn: 0.0.0.0:1\nmodels:\n  - { name: a, engine: { path: x } }\n  - { name: a, engine: { "
      "path: y } }\n");
  EXPECT_THAT(load_config(options, {}).error(), HasSubstr(".yaml:2:3: server.listn"));
  const auto twice =
      with_file("models:\n  - { name: a, engine: { path: x } }\n  - { name: a, engine: { path: y } }\n");
  EXPECT_THAT(load_config(twice, {}).error(), HasSubstr("another model is called \"a\" already"));
}

TEST_F(LoadConfig, AReloadTakesOnlyTheWholeOfAFile) {
  const auto reload = [&](const std::string& text) { return reloaded(text); };
  EXPECT_EQ(reload(kOneModel)->config.models.size(), 1U);
  EXPECT_THAT(reload("").error(), HasSubstr(".yaml:1:1: the file is empty"));
  EXPECT_THAT(reload("# models follow\n").error(), HasSubstr("the file is empty"));
  EXPECT_THAT(reload("models:\n").error(), HasSubstr(":1:1: the file ends with \"models:\""));
  EXPECT_THAT(reload(std::string(kOneModel) + "server:").error(), HasSubstr(":3:1: the file ends with"));
  EXPECT_THAT(reload("models: [").error(), HasSubstr(".yaml:1:"));
}

TEST_F(LoadConfig, AReloadNeverBringsTheDefaultModel) {
  const std::string without = "server: { workers: 1 }\n";
  EXPECT_THAT(reloaded(without).error(), HasSubstr(".yaml: models: names none"));
  EXPECT_THAT(reloaded(without).error(), HasSubstr("write `models: []`"));
  EXPECT_TRUE(reloaded("models: []\n")->config.models.empty());
  EXPECT_TRUE(reloaded(without, {{"MODEL_NAME", "none"}})->config.models.empty());
  // A process that serves the default model already keeps it.
  EXPECT_TRUE(load_config(with_file(without), {})->default_model);
  const auto again = reloaded(without, {}, true);
  EXPECT_EQ(again->config.models.at(0).engine->path, "smollm2-135m-instruct");
  EXPECT_TRUE(again->default_model);
  EXPECT_FALSE(load_config(with_file(kOneModel), {})->default_model);
}

TEST_F(LoadConfig, EveryValueNamesItsSource) {
  ServeOptions options = with_file(
      "server: { listen: 127.0.0.1:1 }\n"
      "models:\n  - { name: a, engine: { path: a.gguf } }\n  - { name: b, engine: { path: b.gguf } }\n");
  options.port = 9;
  options.admin_port = 10;
  const auto origin = [&](const std::string& path, const Environment& environment) {
    const auto loaded = load_config(options, environment);
    const config::Node* node = config::find(loaded->tree, path);
    return node == nullptr ? "nowhere" : node->text + ", " + node->location.to_string();
  };
  EXPECT_EQ(origin("server.listen", {}), "127.0.0.1:9, --port");
  EXPECT_EQ(origin("server.admin_listen", {}), "127.0.0.1:10, --admin-port");
  EXPECT_EQ(origin("server.workers", {{"MAX_WORKERS", "2"}}), "2, environment variable MAX_WORKERS");
  options.host = "::1";
  EXPECT_EQ(origin("server.listen", {}), "[::1]:9, --host, --port");
  const Environment another = {{"MODEL_NAME", "c.gguf"}};
  EXPECT_EQ(origin("models[0].engine.path", another), "c.gguf, environment variable MODEL_NAME");
  EXPECT_EQ(origin("models[1].engine.path", another), "a.gguf, " + path_.string() + ":3:32");
  options.model = "b";  // one of the file's comes first, and its origin with it
  EXPECT_EQ(origin("models[0].engine.path", another), "b.gguf, " + path_.string() + ":4:32");
}

TEST_F(LoadConfig, AFlagForAPartOfAnAddressLeavesTheMistakeInTheRest) {
  ServeOptions options = with_file("server: { listen: nonsense }\n");
  options.port = 9;
  EXPECT_THAT(load_config(options, {}).error(), HasSubstr(".yaml:1:19: server.listen: must be host:port"));
}

TEST_F(LoadConfig, SaysThatAFileIsMissing) {
  EXPECT_THAT(load_config({.config_file = "/nowhere/at/all.yaml"}, {}).error(),
              HasSubstr("/nowhere/at/all.yaml: cannot be read: No such file"));
}

}  // namespace
}  // namespace autoglm::app
