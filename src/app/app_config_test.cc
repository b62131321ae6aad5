#include "app/app_config.h"
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

}  // namespace
}  // namespace autoglm::app
