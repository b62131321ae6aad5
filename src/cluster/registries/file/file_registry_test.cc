#include "cluster/registries/file/file_registry.h"

#include "cluster/testing/kept_instances.h"
#include "runtime/testing/run_task.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace autoglm::cluster {
namespace {

using namespace std::chrono_literals;

class FileRegistryTest : public ::testing::Test {
 public:
  FileRegistryTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "autoglm-registry-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~FileRegistryTest() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  static std::string targets(const std::string& list) { return "- targets: [" + list + "]\n"; }
  Task<void> until(std::string list) {
    EXPECT_TRUE(co_await kept_.until([list](const KeptInstances& kept) { return kept.last() == list; }))
        << kept_.last() << ", not " << list;
  }
  void follow(const std::string& name, Task<void> body) {
    FileRegistry registry({.path = (folder_ / name).string(), .interval = 1ms}, pool_);
    run_task(loop_, kept_.follow(registry, std::move(body)));
  }

  std::filesystem::path folder_;
  EventLoop loop_;
  BlockingPool pool_{1, 8};
  KeptInstances kept_;
};

TEST_F(FileRegistryTest, FollowsAFileThatIsReplacedOrWrittenInPlace) {
  write("m.yaml", targets("'a:1'"));
  follow("m.yaml", [](FileRegistryTest& test) -> Task<void> {
    co_await test.until("a:1");
    test.write("m.yaml", targets("'a:1', 'b:2'"));
    co_await test.until("a:1 b:2");
    test.write("next", targets("'c:3'"));
    std::filesystem::rename(test.folder_ / "next", test.folder_ / "m.yaml");
    co_await test.until("c:3");
    test.write("m.yaml", "[]");
    co_await test.until("");
  }(*this));
  EXPECT_TRUE(kept_.errors.empty()) << kept_.errors.front().message;
}

TEST_F(FileRegistryTest, FollowsALinkThatIsSwapped) {
  for (const char* version : {"1", "2"}) {
    std::filesystem::create_directory(folder_ / version);
    write(std::string(version) + "/m.yaml", targets(std::string("'a:") + version + "'"));
  }
  std::filesystem::create_directory_symlink("1", folder_ / "data");
  std::filesystem::create_symlink("data/m.yaml", folder_ / "m.yaml");
  follow("m.yaml", [](FileRegistryTest& test) -> Task<void> {
    co_await test.until("a:1");
    std::filesystem::create_directory_symlink("2", test.folder_ / "next");
    std::filesystem::rename(test.folder_ / "next", test.folder_ / "data");
    co_await test.until("a:2");
  }(*this));
}

TEST_F(FileRegistryTest, AFileThatIsGoneOrWrongIsAnErrorAndNoEmptyList) {
  follow("m.yaml", [](FileRegistryTest& test) -> Task<void> {
    EXPECT_TRUE(co_await test.kept_.until([](const KeptInstances& kept) { return kept.errors.size() == 1; }));
    test.write("m.yaml", targets("'a:1'"));
    co_await test.until("a:1");
    test.write("m.yaml", "- targets: [");
    EXPECT_TRUE(co_await test.kept_.until([](const KeptInstances& kept) { return kept.errors.size() >= 2; }));
    test.write("m.yaml", "");
    EXPECT_TRUE(co_await test.kept_.until([](const KeptInstances& kept) { return kept.errors.size() >= 3; }));
    std::filesystem::remove(test.folder_ / "m.yaml");
    EXPECT_TRUE(co_await test.kept_.until([](const KeptInstances& kept) { return kept.errors.size() >= 4; }));
    EXPECT_EQ(test.kept_.last(), "a:1");
    test.write("m.yaml", targets("'b:2'"));
    co_await test.until("b:2");
  }(*this));
}

TEST_F(FileRegistryTest, AFileThatIsReplacedAllTheTimeIsFollowedAllTheSame) {
  write("m.yaml", targets("'a:1'"));
  follow("m.yaml", [](FileRegistryTest& test) -> Task<void> {
    co_await test.until("a:1");
    // Between two looks it is replaced at least once.
    int port = 1;
    const bool seen = co_await test.kept_.until([&](const KeptInstances& kept) {
      for (int i = 0; i < 3; ++i) {
        test.write("next", targets(fmt::format("'b:{}'", ++port)));
        std::filesystem::rename(test.folder_ / "next", test.folder_ / "m.yaml");
      }
      return kept.lists.size() >= 3;
    });
    EXPECT_TRUE(seen);
  }(*this));
}

TEST_F(FileRegistryTest, APipeIsNotRead) {
  ASSERT_EQ(::mkfifo((folder_ / "m.yaml").c_str(), 0600), 0);
  follow("m.yaml", [](FileRegistryTest& test) -> Task<void> {
    EXPECT_TRUE(co_await test.kept_.until([](const KeptInstances& kept) { return kept.errors.size() == 1; }));
  }(*this));
}

TEST_F(FileRegistryTest, EachStateOfAFileIsSaidOnce) {
  write("m.yaml", targets("'a:1'"));
  follow("m.yaml", [](FileRegistryTest& test) -> Task<void> {
    co_await test.until("a:1");
    test.write("next", targets("'b:2'"));
    std::filesystem::rename(test.folder_ / "next", test.folder_ / "m.yaml");
    co_await test.until("b:2");
    test.write("next", targets("'c:3'"));
    std::filesystem::rename(test.folder_ / "next", test.folder_ / "m.yaml");
    co_await test.until("c:3");
  }(*this));
  EXPECT_EQ(kept_.lists.size(), 3U);
}

}  // namespace
}  // namespace autoglm::cluster
