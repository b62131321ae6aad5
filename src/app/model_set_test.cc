#include "app/model_set.h"

#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <latch>
#include <string>

namespace autoglm::app {
namespace {

using namespace std::chrono_literals;

TEST(ModelSet, LooksNamesUpWhileTextsAreBeingPrepared) {
  EventLoop control;
  WorkerPool workers(1);
  workers.start();
  BlockingPool pool(1, 8);
  BlockingPool names(1, 8);
  observe::MetricRegistry metrics;
  const auto log = observe::Logger::create({.file = "/dev/null"}).value();
  ModelSet models({.workers = workers,
                   .control = control,
                   .pool = pool,
                   .names = names,
                   .metrics = metrics,
                   .log = *log,
                   .compute_threads = 1,
                   .log_config = {},
                   .trace_id = {},
                   .sources = {}});
  ModelConfig model{.name = "m", .engine = {}, .pool = {}};
  // A resolver refuses a label of this length at once, without asking another server.
  model.pool.endpoints = {{.url = "http://" + std::string(64, 'a') + ".invalid:1/v1"}};
  model.pool.health.timeout = model.pool.timeouts.connect = 20s;  // only a slow look-up would take it
  ASSERT_TRUE(models.apply({model}, 1h));

  std::latch begun(1);
  std::latch go_on(1);
  const auto checked = run_task(control, [&]() -> Task<std::string> {
    Scope scope;
    scope.spawn([](BlockingPool& on, std::latch& in, std::latch& out) -> Task<void> {
      (void)co_await on.run([&in, &out] {
        in.count_down();
        out.wait();
        return true;
      });
    }(pool, begun, go_on));
    begun.wait();
    scope.spawn(models.watch());
    const auto last = [&] { return models.pools().front()->members().front().last_check; };
    while (!last()) co_await sleep_for(1ms);
    go_on.count_down();
    co_return last()->error().message;
  }());
  EXPECT_NE(checked.find("cannot resolve"), std::string::npos) << checked;
  models.stop();
  workers.stop();
}

}  // namespace
}  // namespace autoglm::app
