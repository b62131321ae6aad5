#include "engine/models/catalogue.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace autoglm::engine {
namespace {

namespace fs = std::filesystem;

class FindModel : public ::testing::Test {
 protected:
  FindModel() : root_(fs::temp_directory_path() / ("catalogue-test-" + std::to_string(::getpid()))) {
    fs::create_directories(root_);
  }
  ~FindModel() override { fs::remove_all(root_); }

  void touch(const fs::path& path) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << "GGUF";
  }

  fs::path root_;
};

TEST_F(FindModel, TakesAPathAsItIs) {
  const auto model = find_model("/models/a.b.gguf", root_);
  ASSERT_TRUE(model);
  EXPECT_EQ(model->name, "a.b");
  EXPECT_EQ(model->path, "/models/a.b.gguf");
}

TEST_F(FindModel, TakesAFolderWithOneModel) {
  touch("mine/x.gguf");
  EXPECT_EQ(find_model((root_ / "mine").string(), root_)->path, root_ / "mine" / "x.gguf");
  touch("mine/y.gguf");
  const auto two = find_model((root_ / "mine").string(), root_);
  ASSERT_FALSE(two);
  EXPECT_NE(two.error().message.find("holds 2"), std::string::npos) << two.error().message;
}

TEST_F(FindModel, LooksNamesUpInTheCache) {
  const auto missing = find_model(kDefaultModel, root_);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("./dev run"), std::string::npos) << missing.error().message;
  touch(fs::path(kDefaultModel) / "SmolLM2-135M-Instruct.Q4_1.gguf");
  EXPECT_EQ(find_model(kDefaultModel, root_)->name, kDefaultModel);
}

TEST_F(FindModel, NamesWhatIsNear) {
  const auto model = find_model("smollm2-135m-instuct", root_);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kNotFound);
  EXPECT_NE(model.error().message.find("did you mean smollm2-135m-instruct?"), std::string::npos)
      << model.error().message;
  EXPECT_NE(model.error().message.find("chatglm3-6b"), std::string::npos);
}

TEST(ModelCache, FollowsTheXdgConvention) {
  EXPECT_EQ(model_cache("/x", "/somewhere/a"), "/x/open-autoglm/models");
  EXPECT_EQ(model_cache("", "/somewhere/a"), "/somewhere/a/.cache/open-autoglm/models");
}

}  // namespace
}  // namespace autoglm::engine
