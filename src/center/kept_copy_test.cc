#include "center/kept_copy.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace autoglm::center {
namespace {

class KeptCopyTest : public ::testing::Test {
 protected:
  ~KeptCopyTest() override { std::filesystem::remove_all(folder_); }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("kept-copy-" + std::to_string(::getpid()));
  const std::string path_ = (folder_ / "a" / "center.yaml").string();
};

TEST_F(KeptCopyTest, ComesBackAsItWasWithItsVersion) {
  const KeptCopy copy(path_, "consul a/\"b\"");
  ASSERT_TRUE(copy.read());
  EXPECT_EQ(*copy.read(), std::nullopt);
  for (const Version& each : {Version{.text = "a: 1\n", .version = "12"}, Version{.text = "", .version = ""},
                              Version{.text = "no line end", .version = "x\"y\nz"}}) {
    ASSERT_TRUE(copy.write(each));
    ASSERT_TRUE(copy.read());
    EXPECT_EQ((*copy.read())->text, each.text);
  }
  ASSERT_TRUE(copy.write({.text = "a: 1\n", .version = "12"}));
  EXPECT_EQ((*copy.read())->version, "12");
  struct stat status{};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ / "a"), {}), 1) << "nothing beside it";
}

TEST_F(KeptCopyTest, AnotherDocumentsCopyIsNone) {
  ASSERT_TRUE(KeptCopy(path_, "consul a").write({.text = "a: 1", .version = "1"}));
  EXPECT_EQ(*KeptCopy(path_, "consul b").read(), std::nullopt);
  EXPECT_EQ(*KeptCopy(path_, "consul aa").read(), std::nullopt);
  std::ofstream(path_) << "";
  EXPECT_EQ(*KeptCopy(path_, "consul a").read(), std::nullopt);
}

TEST_F(KeptCopyTest, SaysWhyItCannotBeWritten) {
  std::filesystem::create_directories(folder_);
  std::ofstream(folder_ / "a") << "a file in the place of a folder";
  const auto written = KeptCopy(path_, "consul a").write({.text = "a: 1", .version = "1"});
  ASSERT_FALSE(written);
  EXPECT_TRUE(written.error().message.contains("/a")) << written.error().message;
}

}  // namespace
}  // namespace autoglm::center
