#include "app/app_config.h"
#include "config/load.h"
#include "config/render.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace autoglm::app {
namespace {

std::string file(const std::string& path) {
  std::ifstream stream(std::string(AUTOGLM_SOURCE_DIR) + "/" + path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(AppConfig, HasAnUpToDateReference) {
  EXPECT_EQ(file("docs/reference/config.md"), config::markdown_reference(*describe_app().description()))
      << "run: build/release/bin/open-autoglm validate --reference > docs/reference/config.md";
}

TEST(AppConfig, HasAnUpToDateSchema) {
  EXPECT_EQ(file("docs/reference/config.schema.json"),
            config::json_schema(*describe_app().description(), "Open-AutoGLM"))
      << "run: build/release/bin/open-autoglm validate --schema > docs/reference/config.schema.json";
}

TEST(AppConfig, RoomForBodiesMustTakeTheLargest) {
  const auto read = [](const char* memory) {
    return config::load(describe_app(),
                        {.file_name = "f.yaml",
                         .file_text = std::string("server: { max_body: 4MiB, body_memory: ") + memory + " }",
                         .environment = {},
                         .overrides = {}});
  };
  EXPECT_TRUE(read("8MiB"));
  const auto refused = read("7MiB");
  ASSERT_FALSE(refused);
  EXPECT_NE(to_string(refused.error()).find("f.yaml:1:"), std::string::npos) << to_string(refused.error());
  EXPECT_NE(to_string(refused.error()).find("server.body_memory"), std::string::npos);
}

}  // namespace
}  // namespace autoglm::app
