#include "gateway/protocol/vllm/load.h"

#include <gtest/gtest.h>

namespace autoglm::protocol::vllm {
namespace {

ModelLoad sample() {
  return {.model = "tiny\"",
          .report = {.running = 3,
                     .waiting = 2,
                     .max_running = 8,
                     .max_waiting = 16,
                     .kv_usage = 0.25,
                     .prefill_backlog_tokens = 70,
                     .step_time = std::chrono::microseconds(900)},
          .prefixes = std::make_shared<const PrefixSet>(PrefixSet{0xABC})};
}

TEST(Load, IsVllmsNumberAndEachModelsReport) {
  EXPECT_EQ(load_body(std::vector{sample()}),
            R"({"server_load":5,"models":[{"model":"tiny\"","running":3,"waiting":2,"max_running":8,)"
            R"("max_waiting":16,"kv_cache_usage":0.2500,"prefill_backlog_tokens":70,"step_time_us":900,)"
            R"("prefixes":["0000000000000abc"]}]})"
            "\n");
  EXPECT_EQ(load_body({}), "{\"server_load\":0,\"models\":[]}\n");
}

TEST(Load, IsReadAsItIsWritten) {
  const auto read = read_load(load_body(std::vector{sample(), sample()}));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->report.running, 6U);
  EXPECT_EQ(read->report.waiting, 4U);
  EXPECT_EQ(read->report.prefill_backlog_tokens, 140U);
  EXPECT_EQ(*read->prefixes, (PrefixSet{0xABC}));
  EXPECT_EQ(read_load(R"({"server_load":1})")->prefixes, nullptr) << "vLLM's own";
  const auto most = read_load(R"({"models":[{"running":4294967296},{"running":9000000000000000000}]})");
  EXPECT_EQ(most->report.running, 1'000'000'000U) << "bounded, and not what is left of it in 32 bits";
  EXPECT_FALSE(read_load("[]"));
  EXPECT_FALSE(read_load(R"({"models":[{"running":-1}]})"));
  EXPECT_FALSE(read_load(R"({"models":[{"prefixes":["xyz"]}]})"));
}

TEST(Load, IsAHeaderForThoseWhoAskAsVllmGivesIt) {
  EXPECT_EQ(load_header("text", sample().report),
            "TEXT named_metrics.kv_cache_usage_perc=0.25, named_metrics.num_requests_running=3, "
            "named_metrics.num_requests_waiting=2, named_metrics.prefill_backlog_tokens=70");
  EXPECT_EQ(load_header("JSON", sample().report),
            R"(JSON {"named_metrics": {"kv_cache_usage_perc": 0.25, "num_requests_running": 3, )"
            R"("num_requests_waiting": 2, "prefill_backlog_tokens": 70}})");
  EXPECT_EQ(load_header("BIN", sample().report), std::nullopt);
}

}  // namespace
}  // namespace autoglm::protocol::vllm
