#include "engine/models/repository_files.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::engine {
namespace {

std::vector<ListedFile> files(std::initializer_list<const char*> paths) {
  std::vector<ListedFile> out;
  for (const char* path : paths) out.push_back({.path = path});
  return out;
}

/// The chosen paths, or the error's message.
std::string chosen(const std::vector<ListedFile>& from, std::string_view wanted) {
  const auto found = choose_files(from, wanted, "a/b");
  if (!found) return "! " + found.error().message;
  std::string out;
  for (const ListedFile& file : *found) out += (out.empty() ? "" : " ") + file.path;
  return out;
}

TEST(SplitName, TakesPartsApartAndPutsThemTogether) {
  const auto name = SplitName::parse("q/x-00002-of-00003.gguf").value();
  EXPECT_EQ(name.stem, "q/x");
  EXPECT_EQ(name.part, 2U);
  EXPECT_EQ(name.parts, 3U);
  EXPECT_EQ(name.of(1), "q/x-00001-of-00003.gguf");
  for (const char* other :
       {"x.gguf", "-00001-of-00002.gguf", "x-00003-of-00002.gguf", "x-00000-of-00002.gguf",
        "x-0001-of-00002.gguf", "x-00001-of-00002.bin", "x-0000a-of-00002.gguf"})
    EXPECT_FALSE(SplitName::parse(other)) << other;
}

TEST(ChooseFiles, TakesTheUsualQuantization) {
  const auto many = files({"README.md", "x-Q2_K.gguf", "x-Q4_K_M.gguf", "x-Q8_0.gguf", "mmproj-x-F16.gguf"});
  EXPECT_EQ(chosen(many, ""), "x-Q4_K_M.gguf");
  EXPECT_EQ(chosen(many, "Q8_0"), "x-Q8_0.gguf");
  EXPECT_EQ(chosen(many, "q2_k"), "x-Q2_K.gguf");
  EXPECT_EQ(chosen(many, "x-Q8_0.gguf"), "x-Q8_0.gguf");
  EXPECT_EQ(chosen(files({"x.Q8_0.gguf", "x.Q4_0.gguf"}), ""), "x.Q4_0.gguf");
  EXPECT_EQ(chosen(files({"only-strange.gguf"}), ""), "only-strange.gguf");
  EXPECT_EQ(chosen(files({"x-Q4_K_M_L.gguf", "x-q4_k_m.gguf"}), "Q4_K_M"), "x-q4_k_m.gguf");
}

TEST(ChooseFiles, TakesAllPartsInTheirOrder) {
  const auto split = files({"x-q8_0-00002-of-00002.gguf", "x-q8_0-00001-of-00002.gguf", "x-q4_k_m.gguf"});
  const char* both = "x-q8_0-00001-of-00002.gguf x-q8_0-00002-of-00002.gguf";
  EXPECT_EQ(chosen(split, "Q8_0"), both);
  EXPECT_EQ(chosen(split, "x-q8_0-00002-of-00002.gguf"), both);
  EXPECT_EQ(chosen(files({"Q4_K_M/x-00001-of-00001.gguf"}), "Q4_K_M"), "Q4_K_M/x-00001-of-00001.gguf");
  EXPECT_EQ(chosen(files({"x-00001-of-00003.gguf", "x-00003-of-00003.gguf"}), ""),
            "! a/b lacks x-00002-of-00003.gguf, a part of the model");
}

TEST(ChooseFiles, ListsWhatThereIsForWhatThereIsNot) {
  const auto some = files({"x-Q4_0.gguf", "x-Q8_0.gguf"});
  EXPECT_EQ(chosen(some, "x-Q4_1.gguf"),
            "! a/b has no file x-Q4_1.gguf (did you mean x-Q4_0.gguf?); it has: x-Q4_0.gguf, x-Q8_0.gguf");
  EXPECT_EQ(chosen(some, "Q6_K"), "! a/b has no Q6_K; it has: x-Q4_0.gguf, x-Q8_0.gguf");
  EXPECT_NE(chosen(files({"model.safetensors"}), "").find("no .gguf file"), std::string::npos);
  EXPECT_NE(chosen(files({"x-Q8_0.gguf", "y-Q8_0.gguf"}), "Q8_0").find("name the file"), std::string::npos);
  EXPECT_NE(chosen(files({"a.gguf", "b.gguf"}), "").find("none of the usual kind"), std::string::npos);
}

}  // namespace
}  // namespace autoglm::engine
