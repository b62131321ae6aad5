#pragma once

#include "engine/backends/llama/llama_backend.h"
#include "engine/backends/llama/token_sampler.h"
#include "engine/engine.h"
#include "engine/testing/fake_backend.h"
#include "runtime/scope.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::engine {

struct Outcome {
  std::vector<std::string> texts;
  std::vector<FinishReason> reasons;
  std::vector<std::string> stops;  ///< the stop strings that ended them
  Usage usage;
  std::optional<Error> error;
};

/// A request that generates up to `max_tokens`, greedily or seeded.
inline GenerateRequest ask(std::string prompt, std::uint32_t max_tokens,
                           std::optional<std::uint64_t> seed = {}) {
  GenerateRequest work;
  work.prompts = {TextPrompt{std::move(prompt)}};
  work.stop.max_tokens = max_tokens;
  work.stop.ignore_eos = true;
  work.sampling.temperature = seed ? 1.0 : 0.0;
  work.sampling.seed = seed;
  return work;
}

/// An engine over any backend, called from one loop on the test's thread.
class EngineFixture {
 public:
  EngineFixture(EngineConfig config, BackendLoader load, SamplerFactory samplers = make_token_sampler,
                std::shared_ptr<const LiveGroupShares> shares = nullptr)
      : log_(observe::Logger::create({.file = "/dev/null"}).value()) {
    engine_ = std::make_unique<Engine>("m", std::move(config),
                                       Engine::Dependencies{.pool = *pool_,
                                                            .metrics = metrics_,
                                                            .log = *log_,
                                                            .load = std::move(load),
                                                            .samplers = std::move(samplers),
                                                            .shares = std::move(shares)});
  }
  ~EngineFixture() {
    pool_.reset();
    engine_.reset();
  }

  static Task<void> eventually(std::function<bool()> condition) {
    while (!condition()) co_await sleep_for(std::chrono::milliseconds(1));
  }
  Task<void> loaded() {
    return eventually([this] { return engine_->status().state != EndpointStatus::State::kLoading; });
  }
  bool idle() const {
    const LoadReport report = engine_->load();
    return report.running == 0 && report.waiting == 0 && report.kv_usage == 0;
  }

  Task<Result<std::unique_ptr<EventStream>>> open(GenerateRequest work, CallContext context = {}) {
    auto request = std::make_shared<const InferenceRequest>(
        InferenceRequest{.id = "1", .model = "m", .work = std::move(work)});
    co_return co_await engine_->generate(std::move(request), context);
  }

  static Task<Outcome> read(std::unique_ptr<EventStream> stream, std::uint32_t n, std::uint32_t from = 0) {
    Outcome outcome;
    outcome.texts.resize(n);
    outcome.reasons.resize(n);
    outcome.stops.resize(n);
    std::vector<std::uint32_t> next(n, from);
    while (true) {
      auto batch = co_await stream->next();
      if (!batch) {
        outcome.error = batch.error();
        co_return outcome;
      }
      for (const TokenEvent& event : batch->events) {
        EXPECT_EQ(event.index, next[event.choice]) << "a gap or a duplicate";
        next[event.choice] += static_cast<std::uint32_t>(event.tokens.size());
        outcome.texts[event.choice] += event.text;
        if (event.finish) outcome.reasons[event.choice] = *event.finish;
        outcome.stops[event.choice] += event.stop;
      }
      if (batch->last()) {
        outcome.usage = *batch->usage;
        co_return outcome;
      }
    }
  }

  Task<Outcome> generate(GenerateRequest work) {
    co_await loaded();
    const std::uint32_t n = work.n;
    auto stream = co_await open(std::move(work));
    if (!stream) co_return Outcome{.error = stream.error()};
    co_return co_await read(std::move(*stream), n);
  }

  Outcome run(GenerateRequest work) { return run_task(loop_, generate(std::move(work))); }

  /// Runs all requests at once; they join and leave as their lengths demand.
  std::vector<Outcome> run_together(const std::vector<GenerateRequest>& all) {
    std::vector<Outcome> outcomes(all.size());
    run_task(loop_,
             [](EngineFixture& self, const std::vector<GenerateRequest>& work,
                std::vector<Outcome>& out) -> Task<void> {
               Scope scope;
               for (std::size_t i = 0; i < work.size(); ++i) {
                 scope.spawn([](EngineFixture& engine, GenerateRequest one, Outcome& into) -> Task<void> {
                   into = co_await engine.generate(std::move(one));
                 }(self, work[i], out[i]));
               }
               co_await scope.join();
             }(*this, all, outcomes));
    return outcomes;
  }
  void run(Task<void> task) { run_task(loop_, std::move(task)); }
  template <class T>
  T get(Task<T> task) {
    return run_task(loop_, std::move(task));
  }

  Engine& engine() { return *engine_; }
  void end_engine() { engine_.reset(); }
  void end_pool() { pool_.reset(); }
  std::string exposed() const { return metrics_.serialize(); }

 private:
  EventLoop loop_;
  std::optional<BlockingPool> pool_{std::in_place, 1, 64};
  observe::MetricRegistry metrics_;
  std::unique_ptr<observe::Logger> log_;
  std::unique_ptr<Engine> engine_;
};

/// An engine over the fake backend.
struct FakeEngine {
  explicit FakeEngine(const FakeOptions& options = {}, EngineConfig config = {},
                      SamplerFactory samplers = make_token_sampler,
                      std::shared_ptr<const LiveGroupShares> shares = nullptr) {
    Backend backend = make_fake_backend(options);
    stepper = &dynamic_cast<FakeStepper&>(*backend.stepper);
    config.max_sequences = options.max_sequences;
    fixture = std::make_unique<EngineFixture>(config, loader_of(std::move(backend)), std::move(samplers),
                                              std::move(shares));
  }
  FakeStepper* stepper = nullptr;  ///< until the engine ends
  std::unique_ptr<EngineFixture> fixture;
};

/// An engine over the tiny model.
inline std::unique_ptr<EngineFixture> make_tiny(std::uint32_t cells) {
  return std::make_unique<EngineFixture>(EngineConfig{.max_sequences = 8}, [cells](const auto& progress) {
    return load_llama_backend({.path = AUTOGLM_TINY_MODEL,
                               .context = 256,
                               .cache_cells = cells,
                               .max_sequences = 8,
                               .max_batch = 64,
                               .threads = 1},
                              progress);
  });
}

}  // namespace autoglm::engine
