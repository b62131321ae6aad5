#include "app/descriptors.h"

#include <gtest/gtest.h>

namespace autoglm::app {
namespace {

TEST(Descriptors, CapTheConnectionsOfClients) {
  EXPECT_EQ(connections_within({.limit = 1024, .open = 40}, 10'000, false), 952U);
  EXPECT_EQ(connections_within({.limit = 1024, .open = 40}, 10'000, true), 476U)
      << "each may need another one";
  EXPECT_EQ(connections_within({.limit = 1024, .open = 40}, 100, true), 100U);
  EXPECT_EQ(connections_within({.limit = 64, .open = 40}, 100, false), 1U);
  EXPECT_EQ(connections_within({}, 100, true), 100U) << "nobody can tell";
}

TEST(Descriptors, AreCounted) {
  const Descriptors now = Descriptors::read();
  EXPECT_GE(now.open, 3U);
}

}  // namespace
}  // namespace autoglm::app
