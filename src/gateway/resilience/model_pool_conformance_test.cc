// The conformance suites of Endpoint and EventStream, over pools: with one server, with two where the first
// breaks off each answer, and with none that answers.
#include "gateway/endpoint/testing/model_server.h"
#include "gateway/resilience/model_pool.h"
#include "gateway/routing/round_robin/round_robin_balancer.h"
#include "inference/testing/endpoint_conformance.h"
#include "inference/testing/fake_endpoint.h"
#include "runtime/testing/for_turns.h"

#include <array>
#include <memory>
#include <utility>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using Protocol = WireBody::Protocol;

class PoolSubject : public EndpointSubject {
 public:
  /// `kind` is the kind of the servers; the second is asked when the first cannot be.
  PoolSubject(EventLoop& loop, ServerKind kind, bool stream, std::string static_answer = {},
              HedgeConfig hedge = {}, std::uint32_t attempts = 3, Protocol protocol = Protocol::kCompletions)
      : loop_(loop),
        servers_{ModelServer(loop), ModelServer(loop)},
        request_(request_for_words(protocol, stream)) {
    clients_.reserve(loop);
    clients_.share(memory_, nullptr);
    run_task(loop, [](PoolSubject& self) -> Task<void> {
      self.clients_.attach(self.loop_, std::make_unique<http::Client>(self.names_, nullptr));
      co_return;
    }(*this));
    PoolConfig config;
    for (const ModelServer& server : servers_) {
      config.endpoints.push_back({.url = server.url(), .backup = &server != &servers_.front()});
      known_.push_back(records_.of(http::Url::parse(server.url()).value(), config.breaker));
      known_.back()->kind->store(kind);
    }
    config.breaker.request_volume = 1'000'000;
    config.ejection.consecutive_failures = 0;
    config.retry = {.max_attempts = attempts, .budget_percent = 100, .backoff = 1ms, .max_backoff = 2ms};
    config.static_answer = std::move(static_answer);
    config.hedge = hedge;
    config.fallback = {"another"};
    auto factory = std::make_unique<HttpEndpointFactory>(endpoint_settings(config), clients_);
    pool_ = ModelPool::create("m", std::move(config),
                              {.factory = std::move(factory),
                               .answer_memory = memory_.get(),
                               .metrics = metrics_,
                               .log = *log_,
                               .balancer = make_round_robin,
                               .records = records_,
                               .loops = 1,
                               .request_timeout = 30s,
                               .find_model = [this](const std::string&) { return another_; }})
                .value();
    pool_->take_effect();
  }
  ~PoolSubject() override {
    pool_.reset();
    run_task(loop_, [](PoolSubject& self) -> Task<void> {
      self.clients_.detach(self.loop_);
      co_return;
    }(*this));
  }

  bool behave(Manner manner) override {
    for (ModelServer& server : servers_) server.manner = manner;
    return true;
  }
  Endpoint& endpoint() override { return *pool_; }
  InferenceRequestPtr request() override { return request_; }
  bool idle() override {
    for (const auto& view : pool_->members()) {
      if (view.member.in_flight() > 0) return false;
    }
    return pool_->waiting() == 0 && servers_[0].idle() && servers_[1].idle() && memory_->used() == 0;
  }
  /// Verdicts that were given so far.
  std::uint64_t verdicts() const {
    std::uint64_t sum = 0;
    for (const auto& record : known_) {
      for (const EndpointCount& tally : record->attempts) sum += tally.value();
    }
    return sum;
  }

 protected:
  EventLoop& loop_;
  std::array<ModelServer, 2> servers_;
  std::shared_ptr<Endpoint> another_;

 private:
  BlockingPool names_{1, 8};
  std::shared_ptr<http::BodyMemory> memory_ = std::make_shared<http::BodyMemory>(std::size_t{64} << 20U);
  observe::MetricRegistry metrics_;
  std::unique_ptr<observe::Logger> log_ = observe::Logger::create({.file = "/dev/null"}).value();
  HttpClients clients_;
  EndpointRecords records_{metrics_, "m"};
  std::vector<std::shared_ptr<EndpointRecord>> known_;
  std::unique_ptr<ModelPool> pool_;
  InferenceRequestPtr request_;
};

class StreamedSubject final : public PoolSubject {
 public:
  explicit StreamedSubject(EventLoop& loop) : PoolSubject(loop, ServerKind::kOurs, true) {}
};

class WholeSubject final : public PoolSubject {
 public:
  explicit WholeSubject(EventLoop& loop) : PoolSubject(loop, ServerKind::kOurs, false) {}
};

/// The first server breaks off each answer; the stream then behaves as the second server does.
template <ServerKind kKind, Protocol kProtocol = Protocol::kCompletions, bool kStream = true>
class ResumedSubject final : public PoolSubject {
 public:
  explicit ResumedSubject(EventLoop& loop) : PoolSubject(loop, kKind, kStream, {}, {}, 3, kProtocol) {
    break_first();
  }
  bool behave(Manner manner) override {
    PoolSubject::behave(manner);
    break_first();
    return true;
  }

 private:
  void break_first() {
    if (servers_[0].manner != Manner::kRefuses) servers_[0].manner = Manner::kBreaks;
  }
};

/// Each word comes from another server than the one before.
template <ServerKind kKind, Protocol kProtocol = Protocol::kCompletions>
class OftenResumedSubject final : public PoolSubject {
 public:
  explicit OftenResumedSubject(EventLoop& loop) : PoolSubject(loop, kKind, true, {}, {}, 8, kProtocol) {
    for (ModelServer& server : servers_) server.curt = true;
  }
  bool behave(Manner manner) override { return manner == Manner::kWell; }
};

/// The first server does not begin; a second is asked beside it, and is faster.
class HedgedSubject final : public PoolSubject {
 public:
  explicit HedgedSubject(EventLoop& loop)
      : PoolSubject(loop, ServerKind::kOurs, true, {}, {.percentile = 50, .min_delay = 1ms}) {
    for (int i = 0; i < 60; ++i)
      run_task(loop, open_and_hear(*this));  // teaches the pool when an answer is slow
    servers_[0].mute = true;
  }
  /// Where the second does no better, the pool waits for the first, as long as a token may take.
  bool behave(Manner manner) override {
    return (manner == Manner::kWell || manner == Manner::kStalls) && PoolSubject::behave(manner);
  }
};

/// The servers refuse everything; another model answers.
class FallbackSubject final : public PoolSubject {
 public:
  explicit FallbackSubject(EventLoop& loop) : PoolSubject(loop, ServerKind::kOurs, true) {
    another_ = unowned(fake_);
    FallbackSubject::behave(Manner::kWell);
  }
  bool behave(Manner manner) override {
    const Error error{.code = ErrorCode::kUnavailable, .message = "as it was told"};
    fake_.refuse_with = manner == Manner::kRefuses ? std::optional(error) : std::nullopt;
    fake_.fail_after_words = manner == Manner::kBreaks ? std::optional(error) : std::nullopt;
    fake_.hang_after_words = manner == Manner::kStalls;
    fake_.words.resize(manner == Manner::kStalls ? 1 : 2, " world");
    return PoolSubject::behave(Manner::kRefuses);
  }
  bool idle() override { return PoolSubject::idle() && fake_.open_streams == 0; }

 private:
  FakeEndpoint fake_{"another"};
};

/// No other model answers either.
class StaticSubject final : public PoolSubject {
 public:
  explicit StaticSubject(EventLoop& loop)
      : PoolSubject(loop, ServerKind::kOurs, true, "We are not here just now.") {
    PoolSubject::behave(Manner::kRefuses);
  }
  bool behave(Manner manner) override { return manner == Manner::kWell; }
};

using Resumed = ResumedSubject<ServerKind::kOurs>;
using Continued = ResumedSubject<ServerKind::kOther>;
using OftenResumed = OftenResumedSubject<ServerKind::kOurs>;
using Translated = ResumedSubject<ServerKind::kOurs, Protocol::kNone>;
using TranslatedWhole = ResumedSubject<ServerKind::kOurs, Protocol::kNone, false>;
using TranslatedText = ResumedSubject<ServerKind::kOther, Protocol::kNone>;
using OftenTranslated = OftenResumedSubject<ServerKind::kOurs, Protocol::kNone>;
using OftenTranslatedText = OftenResumedSubject<ServerKind::kOther, Protocol::kNone>;
using OftenContinued = OftenResumedSubject<ServerKind::kOther>;

INSTANTIATE_TEST_SUITE_P(
    Pool, EndpointConformance,
    ::testing::Values(
        endpoint_of<StreamedSubject>("Streamed"), endpoint_of<WholeSubject>("Whole"),
        endpoint_of<Resumed>("Resumed"), endpoint_of<Continued>("Continued"),
        endpoint_of<OftenResumed>("OftenResumed"), endpoint_of<OftenContinued>("OftenContinued"),
        endpoint_of<Translated>("Translated"), endpoint_of<TranslatedWhole>("TranslatedWhole"),
        endpoint_of<TranslatedText>("TranslatedText"), endpoint_of<OftenTranslated>("OftenTranslated"),
        endpoint_of<OftenTranslatedText>("OftenTranslatedText"), endpoint_of<HedgedSubject>("Hedged"),
        endpoint_of<FallbackSubject>("Fallback"), endpoint_of<StaticSubject>("Static")),
    kImplementationName);
INSTANTIATE_TEST_SUITE_P(
    Pool, EventStreamConformance,
    ::testing::Values(stream_of<StreamedSubject>("Streamed"), stream_of<WholeSubject>("Whole"),
                      stream_of<Resumed>("Resumed"), stream_of<Continued>("Continued"),
                      stream_of<OftenResumed>("OftenResumed"), stream_of<OftenContinued>("OftenContinued"),
                      stream_of<Translated>("Translated"), stream_of<TranslatedWhole>("TranslatedWhole"),
                      stream_of<TranslatedText>("TranslatedText"),
                      stream_of<OftenTranslated>("OftenTranslated"),
                      stream_of<OftenTranslatedText>("OftenTranslatedText"),
                      stream_of<HedgedSubject>("Hedged"), stream_of<FallbackSubject>("Fallback"),
                      stream_of<StaticSubject>("Static")),
    kImplementationName);

/// Asks, and gives up after so many turns, wherever that is.
Task<void> ask_for(unsigned count, PoolSubject& subject) {
  (void)co_await for_turns(count, open_and_hear(subject));
  EXPECT_TRUE(co_await comes_to_rest(subject));
}

TEST(ModelPoolVerdicts, AnAttemptEndsInOneWhereverItIsGivenUp) {
  for (const bool stream : {true, false}) {
    EventLoop loop;
    PoolSubject subject(loop, ServerKind::kOurs, stream);
    for (const Manner manner : {Manner::kWell, Manner::kStalls}) {
      subject.behave(manner);
      for (unsigned count = 0; count < 60; ++count) {
        const std::uint64_t before = subject.verdicts();
        run_task(loop, ask_for(count, subject));
        EXPECT_EQ(subject.verdicts(), before + 1) << "streamed: " << stream << ", " << count << " turns";
      }
    }
  }
}

/// Two servers take part: when the request is given up after any number of `turns`, there are one or two
/// verdicts, and in the end two.
template <class Subject>
void expect_up_to_two_verdicts(EventLoop& loop, Subject& subject, unsigned turns) {
  for (unsigned count = 0; count < turns; ++count) {
    const std::uint64_t before = subject.verdicts();
    run_task(loop, ask_for(count, subject));
    EXPECT_GE(subject.verdicts(), before + 1) << count;
    EXPECT_LE(subject.verdicts(), before + 2) << count;
  }
  const std::uint64_t before = subject.verdicts();
  EXPECT_TRUE(run_task(loop, open_and_hear(subject)).ended);
  EXPECT_EQ(subject.verdicts(), before + 2);
}

TEST(ModelPoolVerdicts, WhoWasSlowerHasOneToo) {
  EventLoop loop;
  HedgedSubject subject(loop);
  expect_up_to_two_verdicts(loop, subject, 40);
}

TEST(ModelPoolVerdicts, AResumedAnswerHasOneForEachWhoWasAsked) {
  EventLoop loop;
  Resumed subject(loop);
  expect_up_to_two_verdicts(loop, subject, 100);
}

}  // namespace
}  // namespace autoglm::gateway
