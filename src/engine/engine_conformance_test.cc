// The conformance suites of Endpoint and EventStream, run over the engine.
#include "engine/chat_stream.h"
#include "engine/testing/engine_fixture.h"
#include "inference/testing/endpoint_conformance.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::engine {
namespace {

/// An engine with so few places that one which is not given back is soon missed.
class EngineSubject : public EndpointSubject {
 public:
  EngineSubject(EventLoop& loop, Backend backend)
      : log_(observe::Logger::create({.file = "/dev/null"}).value()) {
    engine_ = std::make_unique<Engine>("m", EngineConfig{.max_sequences = 4, .max_waiting = 8},
                                       Engine::Dependencies{.pool = pool_,
                                                            .metrics = metrics_,
                                                            .log = *log_,
                                                            .load = loader_of(std::move(backend)),
                                                            .samplers = make_token_sampler});
    run_task(loop, EngineFixture::eventually(
                       [this] { return engine_->status().state != EndpointStatus::State::kLoading; }));
  }

  bool behave(Manner manner) override {
    refuses_ = manner == Manner::kRefuses;
    return manner == Manner::kWell || manner == Manner::kRefuses;
  }
  Endpoint& endpoint() override { return *engine_; }
  InferenceRequestPtr request() override { return refuses_ ? too_long_ : well_; }
  bool tokenizes() const override { return true; }
  bool idle() override {
    const LoadReport report = engine_->load();
    return report.running == 0 && report.waiting == 0 && report.kv_usage == 0;
  }

 private:
  static InferenceRequestPtr make(std::string prompt) {
    GenerateRequest work = ask(std::move(prompt), 6);
    work.n = 2;
    return std::make_shared<const InferenceRequest>(InferenceRequest{.id = "1", .model = "m", .work = work});
  }

  bool refuses_ = false;
  InferenceRequestPtr well_ = make("Hello");
  InferenceRequestPtr too_long_ = make(std::string(100'000, 'x'));
  BlockingPool pool_{1, 64};
  observe::MetricRegistry metrics_;
  std::unique_ptr<observe::Logger> log_;
  std::unique_ptr<Engine> engine_;
};

class FakeBackendSubject : public EngineSubject {
 public:
  explicit FakeBackendSubject(EventLoop& loop)
      : FakeBackendSubject(loop, make_fake_backend({.max_sequences = 4})) {}
  ~FakeBackendSubject() override { stepper_.release(); }

  bool behave(Manner manner) override {
    EngineSubject::behave(manner);
    stepper_.fail_steps(manner == Manner::kBreaks ? 1'000'000 : 0, DecodeStatus::kFailed);
    if (manner == Manner::kStalls) {
      stepper_.hold();
    } else {
      stepper_.release();
    }
    return true;
  }

  bool idle() override { return EngineSubject::idle() && !stepper_.is_held(); }

 private:
  FakeBackendSubject(EventLoop& loop, Backend backend)
      : FakeBackendSubject(loop, dynamic_cast<FakeStepper&>(*backend.stepper), std::move(backend)) {}
  FakeBackendSubject(EventLoop& loop, FakeStepper& stepper, Backend&& backend)
      : EngineSubject(loop, std::move(backend)), stepper_(stepper) {}

  FakeStepper& stepper_;
};

class TinyModelSubject final : public EngineSubject {
 public:
  explicit TinyModelSubject(EventLoop& loop)
      : EngineSubject(loop, load_llama_backend({.path = AUTOGLM_TINY_MODEL,
                                                .context = 256,
                                                .cache_cells = 1024,
                                                .max_sequences = 4,
                                                .max_batch = 64,
                                                .threads = 1},
                                               [](double) { return true; })
                                .value()) {}
};

/// Reads every other letter as reasoning.
class AlternatingParser final : public ChatParser {
 public:
  void parse(TokenEvent& event) override {
    std::string content;
    for (const char letter : std::exchange(event.text, {}))
      (letters_++ % 2 == 0 ? content : event.reasoning) += letter;
    event.text = std::move(content);
  }

 private:
  std::size_t letters_ = 0;
};

class ChatSubject final : public FakeBackendSubject {
 public:
  using FakeBackendSubject::FakeBackendSubject;
  Task<Result<std::unique_ptr<EventStream>>> open() override {
    auto stream = co_await FakeBackendSubject::open();
    if (!stream) co_return stream;
    std::vector<std::unique_ptr<ChatParser>> parsers;
    for (int choice = 0; choice < 2; ++choice) parsers.push_back(std::make_unique<AlternatingParser>());
    co_return std::make_unique<ChatStream>(std::move(*stream), std::move(parsers), "1");
  }
};

TEST(Engine, RefusesWhatItDoesNotUnderstand) {
  FakeEngine engine;
  engine.fixture->run([](FakeEngine& e) -> Task<void> {
    co_await e.fixture->loaded();
    const auto opaque = std::make_shared<const InferenceRequest>(
        InferenceRequest{.id = "1", .model = "m", .work = OpaqueRequest()});
    const auto stream = co_await e.fixture->engine().generate(opaque, {});
    EXPECT_FALSE(stream);
    if (!stream) EXPECT_EQ(stream.error().code, ErrorCode::kUnimplemented);
  }(engine));
}

TEST(Engine, TextsThatAreOnlyTakenApartHaveABoundToo) {
  FakeEngine engine;
  engine.fixture->run([](FakeEngine& e) -> Task<void> {
    co_await e.fixture->loaded();
    const std::string most(1 << 20, 'a');
    const auto tokens = co_await call(e.fixture->engine(), TokenizeRequest{.prompt = TextPrompt{most}}, {});
    EXPECT_TRUE(tokens);
    const auto refused =
        co_await call(e.fixture->engine(), TokenizeRequest{.prompt = TextPrompt{most + "a"}}, {});
    EXPECT_FALSE(refused);
    if (!refused) EXPECT_EQ(refused.error().param, "prompt");
    const auto text =
        co_await call(e.fixture->engine(), DetokenizeRequest{std::vector<TokenId>(1 << 20, 'a')}, {});
    EXPECT_TRUE(text);
    const auto too_many =
        co_await call(e.fixture->engine(), DetokenizeRequest{std::vector<TokenId>((1 << 20) + 1, 'a')}, {});
    EXPECT_FALSE(too_many);
    if (!too_many) EXPECT_EQ(too_many.error().param, "tokens");
  }(engine));
}

INSTANTIATE_TEST_SUITE_P(Engine, EndpointConformance,
                         ::testing::Values(endpoint_of<FakeBackendSubject>("FakeBackend"),
                                           endpoint_of<TinyModelSubject>("TinyModel")),
                         kImplementationName);
INSTANTIATE_TEST_SUITE_P(Engine, EventStreamConformance,
                         ::testing::Values(stream_of<FakeBackendSubject>("Delivery"),
                                           stream_of<ChatSubject>("Chat")),
                         kImplementationName);

}  // namespace
}  // namespace autoglm::engine
