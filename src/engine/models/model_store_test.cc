#include "engine/models/model_store.h"

#include "engine/models/cache_lock.h"
#include "engine/models/catalogue.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace autoglm::engine {
namespace {

namespace fs = std::filesystem;

class ModelStoreTest : public ::testing::Test {
 protected:
  ModelStoreTest() { fs::create_directories(root_); }
  ~ModelStoreTest() override { fs::remove_all(root_); }

  void put(const fs::path& path, const std::string& text = "GGUF") {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  /// The path below the root; "-" when the model is not here.
  std::string find(std::string_view text) {
    const auto found = store_.find(ModelStore::name(text).value());
    if (!found) return "! " + found.error().message;
    return *found ? (*found)->lexically_relative(root_).string() : "-";
  }
  ModelStore::Item item(std::string_view name) {
    const auto items = store_.items();
    const auto found = std::ranges::find(items, name, &ModelStore::Item::name);
    return found == items.end() ? ModelStore::Item() : *found;
  }

  fs::path root_ = fs::path(::testing::TempDir()) / ("model-store-test-" + std::to_string(::getpid()));
  ModelStore store_{root_};
};

using State = ModelStore::Item::State;

TEST_F(ModelStoreTest, TakesAFolderWithOneModel) {
  put("mine/x.gguf");
  const std::string folder = (root_ / "mine").string();
  EXPECT_EQ(find(folder), "mine/x.gguf");
  put("mine/y.gguf");
  EXPECT_NE(find(folder).find("holds 2"), std::string::npos);
  put("split/x-00001-of-00002.gguf");
  EXPECT_NE(find((root_ / "split").string()).find("lacks"), std::string::npos);
  put("split/x-00002-of-00002.gguf");
  EXPECT_EQ(find((root_ / "split").string()), "split/x-00001-of-00002.gguf");
}

TEST_F(ModelStoreTest, FindsWhatWasFetched) {
  EXPECT_EQ(find(kDefaultModel), "-");
  put("smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
  EXPECT_EQ(find(kDefaultModel), "smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
  put("hf/a/b/x-Q8_0.gguf");
  EXPECT_EQ(find("hf:a/b"), "hf/a/b/x-Q8_0.gguf");
  EXPECT_EQ(find("a/b:Q8_0"), "hf/a/b/x-Q8_0.gguf");
  EXPECT_EQ(find("hf:a/b:Q4_0"), "-");
  EXPECT_EQ(find("modelscope:a/b"), "-");
}

TEST_F(ModelStoreTest, TakesNoHalfModelForAWholeOne) {
  put("hf/a/b/x.gguf.partial");
  EXPECT_EQ(find("hf:a/b"), "-");
  put("hf/c/d/x-00001-of-00002.gguf");
  EXPECT_EQ(find("hf:c/d"), "-");
  put("hf/c/d/x-00002-of-00002.gguf");
  EXPECT_EQ(find("hf:c/d"), "hf/c/d/x-00001-of-00002.gguf");
}

TEST_F(ModelStoreTest, KeepsAddressesApart) {
  put("https/h/sub/x.gguf");
  EXPECT_EQ(find("https://h/x.gguf"), "-");
  EXPECT_EQ(find("https://h/sub/x.gguf"), "https/h/sub/x.gguf");
  ASSERT_FALSE(store_.remove(ModelStore::name("https://h/x.gguf").value()));
  put("https/h/x.gguf");
  ASSERT_TRUE(store_.remove(ModelStore::name("https://h/x.gguf").value()));
  EXPECT_EQ(find("https://h/sub/x.gguf"), "https/h/sub/x.gguf");
}

TEST_F(ModelStoreTest, ListsSizesAndStates) {
  put("smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf", "GGUF......");
  put("hf/a/b/x.gguf.partial", "GGUF");
  put("hf/a/b/x.gguf.partial.note", "bytes 16\n");
  put("hf/c/d/x-00001-of-00002.gguf");
  put("https/h/x.gguf");
  EXPECT_EQ(item(kDefaultModel).state, State::kReady);
  EXPECT_EQ(item(kDefaultModel).bytes, 10U);
  EXPECT_EQ(item("chatglm3-6b").state, State::kAbsent);
  EXPECT_EQ(item("hf:a/b:x.gguf").state, State::kPartial);
  EXPECT_EQ(item("hf:a/b:x.gguf").percent, 25U);
  EXPECT_EQ(item("hf:c/d:x-00001-of-00002.gguf").state, State::kPartial);
  EXPECT_EQ(item("https://h/x.gguf").state, State::kReady);
  const auto lock = CacheLock::try_take(root_ / "hf/a/b");
  EXPECT_EQ(item("hf:a/b:x.gguf").state, State::kPulling);
}

TEST_F(ModelStoreTest, RemovesWhatIsMeantAndNothingElse) {
  put("hf/a/b/x-Q4_0.gguf");
  put("hf/a/b/x-Q8_0.gguf", "GGUFGGUF");
  put("hf/a/b/x-Q8_0.gguf.partial.note");
  put("hf/a/b/.lock", "");
  EXPECT_EQ(store_.remove(ModelStore::name("hf:a/b:Q8_0").value()).value(), 12U);
  EXPECT_EQ(find("hf:a/b"), "hf/a/b/x-Q4_0.gguf");
  EXPECT_TRUE(store_.remove(ModelStore::name("hf:a/b").value()));
  EXPECT_TRUE(fs::is_empty(root_)) << "folders and lock go with the last file";
  const auto again = store_.remove(ModelStore::name("hf:a/b").value());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kNotFound);
}

TEST_F(ModelStoreTest, RemovesNoFilesOfPeopleAndNothingThatIsPulled) {
  put("mine.gguf");
  EXPECT_FALSE(store_.remove(ModelStore::name((root_ / "mine.gguf").string()).value()));
  put("hf/a/b/x.gguf.partial");
  const auto lock = CacheLock::try_take(root_ / "hf/a/b");
  const auto removed = store_.remove(ModelStore::name("hf:a/b").value());
  ASSERT_FALSE(removed);
  EXPECT_NE(removed.error().message.find("is being pulled by process"), std::string::npos);
  EXPECT_TRUE(fs::exists(root_ / "hf/a/b/x.gguf.partial"));
}

}  // namespace
}  // namespace autoglm::engine
