#include "runtime/server_names.h"

#include <gtest/gtest.h>

namespace autoglm {
namespace {

using Found = std::optional<std::size_t>;

TEST(ServerNames, AreFoundWithoutCaseAndLastDot) {
  ServerNames names;
  names.add("Models.Example.com", 1);
  EXPECT_EQ(names.find("models.example.com"), Found(1));
  EXPECT_EQ(names.find("MODELS.example.COM."), Found(1));
  EXPECT_EQ(names.find("other.example.com"), Found());
  EXPECT_EQ(names.find("example.com"), Found());
  EXPECT_EQ(names.find(""), Found());
}

TEST(ServerNames, AWildcardIsForOneLabel) {
  ServerNames names;
  names.add("*.example.com", 2);
  EXPECT_EQ(names.find("a.example.com"), Found(2));
  EXPECT_EQ(names.find("B.EXAMPLE.COM"), Found(2));
  EXPECT_EQ(names.find("example.com"), Found());
  EXPECT_EQ(names.find(".example.com"), Found());
  EXPECT_EQ(names.find("a.b.example.com"), Found());
  EXPECT_EQ(names.find("a.example.com.evil.org"), Found());
  EXPECT_EQ(names.find("aexample.com"), Found());
}

TEST(ServerNames, TheNameItselfGoesBeforeAWildcard) {
  ServerNames names;
  names.add("*.example.com", 0);
  names.add("api.example.com", 1);
  EXPECT_EQ(names.find("api.example.com"), Found(1));
  EXPECT_EQ(names.find("www.example.com"), Found(0));
}

TEST(ServerNames, OfTwoForOneNameTheFirstCounts) {
  ServerNames names;
  names.add("example.com", 0);
  names.add("example.com", 1);
  EXPECT_EQ(names.find("example.com"), Found(0));
}

TEST(ServerNames, StrangeWildcardsAreForNobody) {
  ServerNames names;
  for (const char* name : {"*", "*.", "w*.example.com", "www.*.com", "*.*.com", ""}) names.add(name, 0);
  for (const char* name : {"a", "www.example.com", "www.a.com", "a.b.com", "*", "com", "a."})
    EXPECT_EQ(names.find(name), Found()) << name;
}

}  // namespace
}  // namespace autoglm
