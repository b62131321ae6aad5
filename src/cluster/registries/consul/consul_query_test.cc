#include "cluster/registries/consul/consul_query.h"

#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

TEST(ConsulIndex, BeginsAnewWhenItGoesBack) {
  EXPECT_EQ(next_consul_index(0, "7"), 7U);
  EXPECT_EQ(next_consul_index(7, "7"), 7U);
  EXPECT_EQ(next_consul_index(7, "6"), 0U);
  EXPECT_EQ(next_consul_index(7, ""), 0U);
  EXPECT_EQ(next_consul_index(7, "x9"), 0U);
  EXPECT_EQ(next_consul_index(0, "0"), 1U);
}

}  // namespace
}  // namespace autoglm::cluster
