#include "engine/models/partial_file.h"

#include "engine/models/cache_lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

namespace autoglm::engine {
namespace {

namespace fs = std::filesystem;

class PartialFileTest : public ::testing::Test {
 protected:
  PartialFileTest() { fs::create_directories(root_); }
  ~PartialFileTest() override { fs::remove_all(root_); }

  static std::string content(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  fs::path root_ = fs::path(::testing::TempDir()) / ("partial-file-test-" + std::to_string(::getpid()));
  fs::path target_ = root_ / "x.gguf";
};

// The digest of "GGUFhello".
constexpr const char* kSha256 = "09fd234eecb542c6ec4aaa583f3869f95f8bfd9b4c757c3c3e5d1d77e14f8f03";

TEST_F(PartialFileTest, AppearsUnderItsNameOnlyWhenCommitted) {
  auto file = PartialFile::open(target_).value();
  ASSERT_TRUE(file.begin({.etag = "\"e\"", .sha256 = "d", .bytes = 9}));
  ASSERT_TRUE(file.append("GGUF"));
  EXPECT_FALSE(fs::exists(target_));
  ASSERT_TRUE(file.append("hello"));
  ASSERT_TRUE(file.commit());
  EXPECT_EQ(content(target_), "GGUFhello");
  EXPECT_FALSE(fs::exists(target_.string() + ".partial"));
  EXPECT_FALSE(fs::exists(target_.string() + ".partial.note"));
}

TEST_F(PartialFileTest, GoesOnWhereItWasLeftWithTheSameDigest) {
  {
    auto file = PartialFile::open(target_).value();
    ASSERT_TRUE(file.begin({.etag = "\"e\"", .sha256 = "d", .bytes = 9}));
    ASSERT_TRUE(file.append("GGUF"));
  }
  auto whole = PartialFile::open(root_ / "y.gguf").value();
  ASSERT_TRUE(whole.append("GGUFhello"));
  auto file = PartialFile::open(target_).value();
  EXPECT_EQ(file.bytes(), 4U);
  EXPECT_EQ(file.note().etag, "\"e\"");
  ASSERT_TRUE(file.read_on().value());
  ASSERT_TRUE(file.append("hello"));
  EXPECT_EQ(file.sha256(), whole.sha256());
  EXPECT_EQ(file.sha256(), kSha256);
}

TEST_F(PartialFileTest, BeginsAgainWithNothing) {
  auto file = PartialFile::open(target_).value();
  ASSERT_TRUE(file.append("<html>"));
  ASSERT_TRUE(file.begin({}));
  EXPECT_EQ(file.bytes(), 0U);
  ASSERT_TRUE(file.append("GGUFhello"));
  EXPECT_EQ(file.sha256(), kSha256);
  file.discard();
  EXPECT_TRUE(fs::is_empty(root_));
}

TEST_F(PartialFileTest, IsNotOpenedWhereNothingCanBeWritten) {
  const auto file = PartialFile::open(root_ / "no" / "folder" / "x.gguf");
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("No such file"), std::string::npos) << file.error().message;
}

TEST_F(PartialFileTest, LockIsForOneAtATime) {
  auto first = CacheLock::try_take(root_ / "m");
  ASSERT_TRUE(first && *first);
  EXPECT_TRUE(CacheLock::is_held(root_ / "m"));
  EXPECT_FALSE(CacheLock::try_take(root_ / "m").value());
  EXPECT_EQ(CacheLock::holder(root_ / "m"), "process " + std::to_string(::getpid()));
  first->reset();
  EXPECT_FALSE(CacheLock::is_held(root_ / "m"));
  EXPECT_TRUE(CacheLock::try_take(root_ / "m").value());
}

}  // namespace
}  // namespace autoglm::engine
