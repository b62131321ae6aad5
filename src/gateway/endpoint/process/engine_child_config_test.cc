#include "gateway/endpoint/process/engine_child_config.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

TEST(EngineChildConfig, ReadsWhatItWrites) {
  EngineChildConfig before{.name = "a \"model\": #1 é", .cache = "/var/a cache", .trace_id = "00ff"};
  before.engine.path = "https://user:pw@h/model.gguf?sig=hush";
  before.engine.context = 4096;
  before.engine.cache_tokens = 8192;
  before.engine.threads = 3;
  before.compute_threads = 12;
  before.engine.saved_memory = 123'456;
  before.engine.prefix_cache = false;
  before.engine.max_stall = std::chrono::microseconds(1500);
  before.engine.sampling.temperature = 0.1;
  before.engine.sampling.top_k = 7;
  before.engine.generation_defaults = engine::GenerationDefaults::kNone;
  before.engine.isolation = engine::Isolation::kProcess;
  before.log.level = observe::LogLevel::kDebug;
  before.log.format = observe::LogFormat::kText;
  before.log.service_name = "service";
  const auto after = read_engine_child_config(write_engine_child_config(before));
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(after->name, before.name);
  EXPECT_EQ(after->engine, before.engine);
  EXPECT_EQ(after->compute_threads, before.compute_threads);
  EXPECT_EQ(after->cache, before.cache);
  EXPECT_EQ(after->log, before.log);
  EXPECT_EQ(after->trace_id, before.trace_id);
}

TEST(EngineChildConfig, LeavesVariablesAsTheyAre) {
  EngineChildConfig before{.name = "m"};
  before.engine.path = "${env:HOME}/model.gguf";
  const auto after = read_engine_child_config(write_engine_child_config(before));
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(after->engine.path, before.engine.path);
}

TEST(EngineChildConfig, RefusesWhatItDoesNotKnow) {
  EXPECT_FALSE(read_engine_child_config("name: m\nengine: { path: x }\nnews: 1\n"));
  EXPECT_FALSE(read_engine_child_config(""));
}

}  // namespace
}  // namespace autoglm::gateway
