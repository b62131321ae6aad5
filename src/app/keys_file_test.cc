#include "app/keys_file.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace autoglm::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const config::Environment kEnvironment = {{"BOB", "sk-bob-0123456789ab"}};

std::string mistakes_of(const std::string& text) {
  const auto keys = read_keys("keys.yaml", text, kEnvironment);
  return keys ? "" : keys.error().message;
}

TEST(ReadKeys, TakesAListInYamlAndJson) {
  for (
      const char* text :
      {"- {name: alice, key: sk-alice-0123456789, labels: {team: a}}\n- {name: bob, key: \"${env:BOB}\"}\n",
       R"([{"name":"alice","key":"sk-alice-0123456789","labels":{"team":"a"}},{"name":"bob","key":"${env:BOB}"}])",
       "keys:\n  - {name: alice, key: sk-alice-0123456789, labels: {team: a}}\n"
       "  - {name: bob, key: sk-bob-0123456789ab}\n"}) {
    const auto keys = read_keys("keys.yaml", text, kEnvironment);
    ASSERT_TRUE(keys) << keys.error().message;
    ASSERT_EQ(keys->size(), 2U);
    EXPECT_EQ((*keys)[0].labels.at("team"), "a");
    EXPECT_EQ((*keys)[1].key, "sk-bob-0123456789ab");
  }
  EXPECT_EQ(read_keys("keys.yaml", "[]", kEnvironment)->size(), 0U);
}

TEST(ReadKeys, SaysWhereAMistakeIs) {
  EXPECT_THAT(mistakes_of("- name: alice\n  key: sk-alice-0123456789\n  prioritty: 3\n"),
              HasSubstr("keys.yaml:3:3: keys[0].prioritty"));
  EXPECT_THAT(mistakes_of("- {name: a, key: sk-alice-0123456789}\n- {name: a, key: sk-bobby-0123456789}\n"),
              HasSubstr("keys.yaml:2:"));
  EXPECT_THAT(mistakes_of("- {name: a, key: sk-alice-0123456789, expires: soon}\n"), HasSubstr("RFC 3339"));
  const std::string twice =
      mistakes_of("- {name: a, key: sk-alice-0123456789}\n- {name: b, key: sk-alice-0123456789}\n");
  EXPECT_THAT(twice, HasSubstr("is the same as that of \"a\""));
  EXPECT_THAT(twice, Not(HasSubstr("sk-alice")));
  EXPECT_THAT(mistakes_of("- {name: a, key: short}\n"), Not(HasSubstr("short}")));
  EXPECT_NE(mistakes_of("- [\n"), "");
}

class KeysFileTest : public ::testing::Test {
 public:
  KeysFileTest() : folder_(testing::TempDir() + "keys-file-XXXXXX") {
    if (::mkdtemp(folder_.data()) == nullptr) folder_.clear();
    write("- {name: alice, key: sk-alice-0123456789}\n");
  }
  ~KeysFileTest() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ + "/keys.yaml"; }
  /// As Kubernetes does it: another file under the name.
  void write(const std::string& text) {
    std::ofstream(path() + ".new") << text;
    std::filesystem::rename(path() + ".new", path());
  }
  Result<std::unique_ptr<KeysFile>> open() { return KeysFile::open(path(), {}, metrics_, *log_); }
  /// Looks until a change would have been taken.
  bool refresh(KeysFile& file) {
    bool changed = false;
    for (int i = 0; i < 3; ++i) changed |= file.refresh(now_ += config::WatchedFile::kQuiet);
    return changed;
  }

  std::string folder_;
  observe::MetricRegistry metrics_;
  std::unique_ptr<observe::Logger> log_ = observe::Logger::create({.file = "/dev/null"}).value();
  MonotonicTime now_;
};

TEST_F(KeysFileTest, FollowsTheFile) {
  const auto file = open().value();
  EXPECT_EQ(file->layer()->size(), 1U);
  EXPECT_FALSE(refresh(*file));
  write("- {name: bob, key: sk-bobby-0123456789}\n");
  EXPECT_TRUE(refresh(*file));
  EXPECT_TRUE(file->layer()->has_name("bob"));
  EXPECT_FALSE(file->layer()->has_name("alice"));
}

TEST_F(KeysFileTest, ABrokenEditChangesNothing) {
  const auto file = open().value();
  const auto before = file->layer();
  for (const char* broken :
       {"- {name: bob, kye: sk-bobby-0123456789}\n", "- {name: bob, key:", "", "- name: bob\n  key:"}) {
    write(broken);
    EXPECT_FALSE(refresh(*file)) << broken;
    EXPECT_EQ(file->layer(), before) << broken;
  }
  EXPECT_THAT(metrics_.serialize(), HasSubstr("autoglm_keys_file_reloads_total{outcome=\"refused\"} 4"));
  write("[]\n");
  EXPECT_TRUE(refresh(*file)) << "a list without keys is meant";
}

TEST_F(KeysFileTest, AStartNeedsTheFile) {
  write("- {name: bob}\n");
  EXPECT_THAT(open().error().message, HasSubstr(":1:"));
  std::filesystem::remove(path());
  EXPECT_THAT(open().error().message, HasSubstr("cannot be read"));
}

}  // namespace
}  // namespace autoglm::app
