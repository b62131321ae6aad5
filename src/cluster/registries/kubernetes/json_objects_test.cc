#include "cluster/registries/kubernetes/json_objects.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace autoglm::cluster {
namespace {

/// The objects in `text`, which comes in pieces of `size` bytes.
std::vector<std::string> objects_in(std::string_view text, std::size_t size) {
  JsonObjects objects;
  std::vector<std::string> found;
  for (; !text.empty(); text.remove_prefix(std::min(size, text.size()))) {
    objects.buffer().append(text.substr(0, size));
    while (const auto object = objects.next()) found.emplace_back(*object);
    objects.forget_taken();
  }
  return found;
}

TEST(JsonObjects, AreFoundInPiecesOfAnySize) {
  const std::string first = R"({"a":"}{\"\\","b":{"c":[{}]}})";
  const std::string second = "{\n \"d\": 1\n}";
  const std::string text = first + second + " \r\n\t" + first + "\n" + R"({"not":"whole)";
  for (std::size_t size = 1; size <= text.size(); ++size)
    EXPECT_EQ(objects_in(text, size), (std::vector<std::string>{first, second, first})) << size;
}

TEST(JsonObjects, WhatHasNotComeWholeIsCounted) {
  JsonObjects objects;
  objects.buffer() = R"({"a":1}{"b)";
  EXPECT_TRUE(objects.next());
  EXPECT_FALSE(objects.next());
  EXPECT_EQ(objects.pending(), 3U);
  objects.forget_taken();
  EXPECT_EQ(objects.buffer(), R"({"b)");
  objects.buffer() += R"(":2})";
  EXPECT_EQ(objects.next(), R"({"b":2})");
  EXPECT_EQ(objects.pending(), 0U);
  EXPECT_FALSE(objects.is_garbage());
}

TEST(JsonObjects, AnythingElseIsGarbageForGood) {
  for (const char* wrong : {"<html>", "[]", "}", "1", "\"{}\""}) {
    JsonObjects objects;
    objects.buffer() = std::string(R"({"a":1})") + wrong;
    EXPECT_TRUE(objects.next()) << wrong;
    EXPECT_FALSE(objects.next()) << wrong;
    EXPECT_TRUE(objects.is_garbage()) << wrong;
    objects.buffer() += "{}";
    EXPECT_FALSE(objects.next()) << wrong;
  }
}

}  // namespace
}  // namespace autoglm::cluster
