#include "observe/metrics/registry.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

namespace autoglm::observe {
namespace {

TEST(Counter, IsExactUnderManyThreads) {
  MetricRegistry registry;
  Counter& counter = registry.counter("requests_total", "Requests.");
  std::vector<std::thread> threads;
  for (int t = 0; t < 24; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) counter.add();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 240'000U);
}

TEST(MetricRegistry, GivesTheSameMetricForTheSameLabels) {
  MetricRegistry registry;
  Counter& a = registry.counter("x_total", "X.", {{"code", "200"}});
  EXPECT_EQ(&a, &registry.counter("x_total", "X.", {{"code", "200"}}));
  EXPECT_NE(&a, &registry.counter("x_total", "X.", {{"code", "404"}}));
}

TEST(MetricRegistry, SerializesPrometheusText) {
  MetricRegistry registry;
  registry.counter("vllm:prompt_tokens_total", "Prompt tokens.", {{"model_name", "a\"b"}}).add(3);
  registry.gauge("load", "Load.").set(0.5);
  const std::array bounds = {0.1, 1.0};
  Histogram& histogram = registry.histogram("latency_seconds", "Latency.", bounds);
  histogram.observe(0.0625);
  histogram.observe(1.0);
  histogram.observe(7.0);
  EXPECT_EQ(registry.serialize(),
            "# HELP latency_seconds Latency.\n# TYPE latency_seconds histogram\n"
            "latency_seconds_count 3\nlatency_seconds_sum 8.0625\n"
            "latency_seconds_bucket{le=\"0.1\"} 1\nlatency_seconds_bucket{le=\"1\"} 2\n"
            "latency_seconds_bucket{le=\"+Inf\"} 3\n"
            "# HELP load Load.\n# TYPE load gauge\nload 0.5\n"
            "# HELP vllm:prompt_tokens_total Prompt tokens.\n# TYPE vllm:prompt_tokens_total counter\n"
            "vllm:prompt_tokens_total{model_name=\"a\\\"b\"} 3\n");
}

TEST(MetricRegistry, AsksCallbacksUntilTheyAreDropped) {
  MetricRegistry registry;
  auto token = registry.callback(MetricRegistry::Kind::kGauge, "queue", "Queue.", {}, [] { return 4.0; });
  EXPECT_NE(registry.serialize().find("queue 4\n"), std::string::npos);
  token.reset();
  EXPECT_EQ(registry.serialize(), "");
}

TEST(MetricRegistry, BoundsTheSeriesOfAFamily) {
  MetricRegistry registry;
  for (std::size_t i = 0; i < 2 * MetricRegistry::kMaxSeries; ++i) {
    registry.counter("c_total", "C.", {{"id", std::to_string(i)}}).add();
  }
  EXPECT_EQ(registry.counter("c_total", "C.", {{"id", "never seen"}}).value(), MetricRegistry::kMaxSeries);
  // A series from before the family was full keeps its own labels.
  EXPECT_EQ(registry.counter("c_total", "C.", {{"id", "0"}}).value(), 1U);
}

}  // namespace
}  // namespace autoglm::observe
