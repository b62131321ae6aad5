#include "app/retired_endpoints.h"

#include "inference/testing/fake_endpoint.h"

#include <gtest/gtest.h>

#include <chrono>
#include <semaphore>
#include <thread>

namespace autoglm::app {
namespace {

using namespace std::chrono_literals;

/// Its destruction takes until the test allows it, as that of an engine within a step.
struct SlowEnd {
  std::binary_semaphore may_end{0};
  std::binary_semaphore ended{0};
  std::thread::id ended_on;
  bool was_told = false;

  std::shared_ptr<Endpoint> make() {
    auto endpoint = std::make_unique<FakeEndpoint>("m");
    return {endpoint.release(), [this](Endpoint* dying) {
              was_told = may_end.try_acquire_for(20s);
              ended_on = std::this_thread::get_id();
              delete dying;
              ended.release();
            }};
  }
};

TEST(RetiredEndpoints, NobodyWaitsForTheirEnd) {
  SlowEnd end;
  RetiredEndpoints retired;
  retired.add(end.make());
  retired.sweep();
  end.may_end.release();
  ASSERT_TRUE(end.ended.try_acquire_for(20s));
  EXPECT_TRUE(end.was_told);
  EXPECT_NE(end.ended_on, std::thread::id());
  EXPECT_NE(end.ended_on, std::this_thread::get_id());
}

TEST(RetiredEndpoints, LiveAsLongAsSomebodyUsesThem) {
  SlowEnd end;
  SlowEnd end_of_next;
  end.may_end.release();
  end_of_next.may_end.release();
  RetiredEndpoints retired;
  auto used = end.make();
  std::weak_ptr<Endpoint> alive = used;
  retired.add(used);
  retired.add(end_of_next.make());
  retired.sweep();
  ASSERT_TRUE(end_of_next.ended.try_acquire_for(20s)) << "and all that were to end before it";
  EXPECT_FALSE(alive.expired());
  used.reset();
  EXPECT_FALSE(alive.expired()) << "their user's thread is not where they end";
  retired.sweep();
  retired.finish();
  EXPECT_TRUE(alive.expired());
  EXPECT_TRUE(end.was_told);
}

}  // namespace
}  // namespace autoglm::app
