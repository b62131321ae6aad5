#include "gateway/front/grpc/services.h"

#include "gateway/front/grpc/testing/fake_call.h"
#include "gateway/front/http/recognition.h"
#include "inference/testing/fake_endpoint.h"
#include "runtime/scope.h"
#include "runtime/testing/run_task.h"

#include <grpc/health/v1/health.pb.h>
#include <grpc/reflection/v1/reflection.pb.h>
#include <gtest/gtest.h>
#include <inference/grpc_predict_v2.pb.h>
#include <openautoglm/v1/inference.pb.h>

namespace autoglm::gateway::grpc {
namespace {

namespace v1 = ::openautoglm::v1;
namespace health = ::grpc::health::v1;
namespace reflection = ::grpc::reflection::v1;
namespace kserve = ::inference;

class ServicesTest : public ::testing::Test {
 protected:
  const Route& route(std::string_view path) const {
    for (const Route& each : routes_)
      if (each.path == path) return each;
    ADD_FAILURE() << "no method " << path;
    return routes_.back();
  }
  Task<void> start(FakeCall& call) {
    return route(call.request.path).answer(call.request, call.writer, record_);
  }
  FakeCall& run(FakeCall& call) {
    run_task(loop_, start(call));
    return call;
  }
  /// Starts the call, and runs `scenario` beside it until both are over.
  template <class Scenario>
  void beside(FakeCall& call, Scenario scenario) {
    run_task(loop_, [&]() -> Task<void> {
      Scope scope;
      scope.spawn(start(call));
      co_await scenario();
      co_await scope.join();
    }());
  }
  static Task<void> until(std::function<bool()> condition) {
    const Deadline deadline = Deadline::after(std::chrono::seconds(20));
    while (!condition() && !deadline.passed()) co_await sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(condition());
  }

  FakeEndpoint endpoint_{"alpha"};
  LiveDirectory models_{1, std::make_shared<const ModelDirectory>(
                               std::vector<ModelDirectory::Entry>{{"alpha", unowned(endpoint_)}})};
  Pipeline pipeline_{models_};
  Readiness readiness_;
  observe::MetricRegistry metrics_;
  std::shared_ptr<http::BodyMemory> memory_ = std::make_shared<http::BodyMemory>(1'000'000);
  std::vector<Route> routes_ =
      grpc_routes(pipeline_, readiness_,
                  {.ignored_fields = metrics_.counter("ignored", ""), .answer_memory = memory_}, "1.2.3");
  RequestRecord record_;
  EventLoop loop_;
};

v1::GenerateRequest hello() {
  v1::GenerateRequest request;
  request.set_text("Hello");
  return request;
}

kserve::ModelInferRequest infer(const std::string& id, const std::string& text, bool stream = true) {
  kserve::ModelInferRequest request;
  request.set_id(id);
  auto& input = *request.add_inputs();
  input.set_name("text_input");
  input.set_datatype("BYTES");
  input.add_shape(1);
  input.mutable_contents()->add_bytes_contents(text);
  auto& flag = *request.add_inputs();
  flag.set_name("stream");
  flag.set_datatype("BOOL");
  flag.add_shape(1);
  flag.mutable_contents()->add_bool_contents(stream);
  return request;
}

TEST_F(ServicesTest, AGenerationIsAStreamOfItsText) {
  FakeCall call("/openautoglm.v1.Inference/Generate");
  const auto told = run(call.say(hello())).answers<v1::GenerateResponse>();
  EXPECT_EQ(call.status(), "0") << call.message();
  ASSERT_EQ(told.size(), 4U);
  EXPECT_EQ(told[0].model(), "alpha");
  EXPECT_EQ(told[0].deltas(0).text() + told[1].deltas(0).text(), "Hello world");
  EXPECT_EQ(told[2].deltas(0).finish_reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(told[3].usage().completion_tokens(), 2U);
  EXPECT_EQ(record_.model, "alpha");
  EXPECT_EQ(record_.usage.completion_tokens, 2U);
  EXPECT_EQ(record_.status, 200);
  EXPECT_TRUE(record_.complete);
}

TEST_F(ServicesTest, AWrongFieldReachesNoEndpoint) {
  FakeCall call("/openautoglm.v1.Inference/Generate");
  auto request = hello();
  request.mutable_sampling()->set_temperature(9);
  run(call.say(request));
  EXPECT_EQ(call.status(), "3");
  EXPECT_FALSE(call.told("grpc-status-details-bin").empty());
  EXPECT_TRUE(endpoint_.requests.empty());
}

TEST_F(ServicesTest, AnUnknownModelIsNotFound) {
  FakeCall call("/openautoglm.v1.Inference/Generate");
  auto request = hello();
  request.set_model("omega");
  EXPECT_EQ(run(call.say(request)).status(), "5");
  EXPECT_NE(call.message().find("alpha"), std::string::npos) << call.message();
}

TEST_F(ServicesTest, AFailureInAStreamIsItsStatus) {
  endpoint_.fail_after_words = Error{.code = ErrorCode::kUnavailable, .message = "it broke"};
  FakeCall call("/openautoglm.v1.Inference/Generate");
  const auto told = run(call.say(hello())).answers<v1::GenerateResponse>();
  EXPECT_EQ(told.size(), 2U);
  EXPECT_EQ(call.writer.trailers.at("grpc-status"), "14");
  EXPECT_EQ(call.message(), "it broke");
  EXPECT_FALSE(record_.complete);
}

TEST_F(ServicesTest, ACancelledCallFreesItsSequence) {
  endpoint_.hang_after_words = true;
  FakeCall call("/openautoglm.v1.Inference/Generate");
  call.say(hello());
  run_task(loop_, [&]() -> Task<void> {
    Scope scope;
    scope.spawn(start(call));
    co_await until([&] { return call.writer.writes == 2; });
    EXPECT_EQ(endpoint_.open_streams, 1U);
  }());
  EXPECT_EQ(endpoint_.open_streams, 0U);
  EXPECT_EQ(endpoint_.cancelled_streams, 1U);
}

TEST_F(ServicesTest, TheDeadlineEndsAStreamThatHasBegun) {
  endpoint_.hang_after_words = true;
  FakeCall call("/openautoglm.v1.Inference/Generate", "grpc-timeout: 200m\r\n");
  EXPECT_EQ(run(call.say(hello())).writer.trailers.at("grpc-status"), "4");
  EXPECT_EQ(call.answers<v1::GenerateResponse>().size(), 2U);
  EXPECT_EQ(endpoint_.cancelled_streams, 1U);
}

TEST_F(ServicesTest, TokensAreMadeAndReadByTheModel) {
  v1::TokenizeRequest text;
  text.set_text("Hello");
  FakeCall tokenize("/openautoglm.v1.Inference/Tokenize");
  const auto tokens = run(tokenize.say(text)).answers<v1::TokenizeResponse>();
  ASSERT_EQ(tokenize.status(), "0");
  EXPECT_EQ(tokens[0].tokens_size(), 3);
  EXPECT_EQ(tokens[0].max_model_len(), 2048U);
  v1::DetokenizeRequest back;
  back.add_tokens(1);
  FakeCall detokenize("/openautoglm.v1.Inference/Detokenize");
  EXPECT_EQ(run(detokenize.say(back)).answers<v1::DetokenizeResponse>().at(0).text(), "x");
  FakeCall nothing("/openautoglm.v1.Inference/Tokenize");
  EXPECT_EQ(run(nothing.say(v1::TokenizeRequest())).status(), "3");
}

TEST_F(ServicesTest, ModelsAreListed) {
  FakeCall all("/openautoglm.v1.Inference/Models");
  const auto told = run(all.say(v1::ModelsRequest())).answers<v1::ModelsResponse>();
  ASSERT_EQ(told.at(0).models_size(), 1);
  EXPECT_EQ(told[0].models(0).id(), "alpha");
  v1::ModelsRequest other;
  other.set_model("omega");
  FakeCall one("/openautoglm.v1.Inference/Models");
  EXPECT_EQ(run(one.say(other)).status(), "5");
}

TEST_F(ServicesTest, HealthIsReadiness) {
  const auto check = [this](const std::string& service) {
    health::HealthCheckRequest request;
    request.set_service(service);
    FakeCall call("/grpc.health.v1.Health/Check");
    run(call.say(request));
    return call.status() == "0" ? std::to_string(call.answers<health::HealthCheckResponse>().at(0).status())
                                : "status " + call.status();
  };
  EXPECT_EQ(check(""), "1");
  EXPECT_EQ(check("openautoglm.v1.Inference"), "1");
  EXPECT_EQ(check("nothing"), "status 5");
  endpoint_.current_status = {.state = EndpointStatus::State::kLoading};
  EXPECT_EQ(check("readiness"), "2");
  EXPECT_EQ(check("liveness"), "1");
  endpoint_.current_status = {.state = EndpointStatus::State::kReady};
  readiness_.begin_drain();
  EXPECT_EQ(check(""), "2");
  FakeCall list("/grpc.health.v1.Health/List");
  const auto told = run(list.say(health::HealthListRequest())).answers<health::HealthListResponse>();
  EXPECT_EQ(told.at(0).statuses().size(), 5U);
  EXPECT_EQ(told[0].statuses().at("inference.GRPCInferenceService").status(), 2);
}

TEST_F(ServicesTest, AWatchTellsChangesAndEndsWithTheProcess) {
  FakeCall call("/grpc.health.v1.Health/Watch");
  const auto told = [&] {
    std::string states;
    for (const auto& each : call.answers<health::HealthCheckResponse>())
      states += std::to_string(each.status());
    return states;
  };
  beside(call.say(health::HealthCheckRequest()), [&]() -> Task<void> {
    co_await until([&] { return told() == "1"; });
    readiness_.begin_leaving();
    co_await until([&] { return told() == "12"; });
    readiness_.begin_drain();
  });
  EXPECT_EQ(told(), "12");
  EXPECT_EQ(call.status(), "14");
}

TEST_F(ServicesTest, AWatchOfAnUnknownServiceStaysOpen) {
  health::HealthCheckRequest request;
  request.set_service("nothing");
  FakeCall call("/grpc.health.v1.Health/Watch");
  beside(call.say(request), [&]() -> Task<void> {
    co_await until([&] { return call.writer.writes == 1; });
    readiness_.begin_drain();
  });
  EXPECT_EQ(call.answers<health::HealthCheckResponse>().at(0).status(), 3);
}

TEST_F(ServicesTest, ReflectionAnswersEachRequestBeforeTheNext) {
  FakeCall call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
  beside(call, [&]() -> Task<void> {
    reflection::ServerReflectionRequest list;
    list.set_host("h");
    list.set_list_services("");
    call.say(list);
    co_await until([&] { return call.writer.writes == 1; });
    reflection::ServerReflectionRequest file;
    file.set_file_containing_symbol("openautoglm.v1.Inference");
    call.say(file);
    co_await until([&] { return call.writer.writes == 2; });
    file.set_file_by_filename("none.proto");
    call.say(file);
    call.say(reflection::ServerReflectionRequest());
    call.body.end();
  });
  EXPECT_EQ(call.status(), "0");
  const auto told = call.answers<reflection::ServerReflectionResponse>();
  ASSERT_EQ(told.size(), 4U);
  EXPECT_EQ(told[0].list_services_response().service_size(), 5);
  EXPECT_EQ(told[0].valid_host(), "h");
  EXPECT_EQ(told[1].file_descriptor_response().file_descriptor_proto_size(), 1);
  EXPECT_EQ(told[1].original_request().file_containing_symbol(), "openautoglm.v1.Inference");
  EXPECT_EQ(told[2].error_response().error_code(), 5);
  EXPECT_EQ(told[3].error_response().error_code(), 3);
}

TEST_F(ServicesTest, AReflectionRequestIsNoLongerThanAName) {
  FakeCall call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
  reflection::ServerReflectionRequest file;
  file.set_file_by_filename(std::string(70'000, 'x'));
  run(call.say(file));
  EXPECT_EQ(call.status(), "8");
  EXPECT_EQ(call.writer.body, "");
}

TEST_F(ServicesTest, KServeTellsOfServerAndModels) {
  FakeCall live("/inference.GRPCInferenceService/ServerLive");
  EXPECT_TRUE(run(live.say(kserve::ServerLiveRequest())).answers<kserve::ServerLiveResponse>().at(0).live());
  FakeCall ready("/inference.GRPCInferenceService/ServerReady");
  EXPECT_TRUE(
      run(ready.say(kserve::ServerReadyRequest())).answers<kserve::ServerReadyResponse>().at(0).ready());
  kserve::ModelReadyRequest model;
  model.set_name("alpha");
  FakeCall alpha("/inference.GRPCInferenceService/ModelReady");
  EXPECT_TRUE(run(alpha.say(model)).answers<kserve::ModelReadyResponse>().at(0).ready());
  model.set_name("omega");
  FakeCall omega("/inference.GRPCInferenceService/ModelReady");
  EXPECT_FALSE(run(omega.say(model)).answers<kserve::ModelReadyResponse>().at(0).ready());
  FakeCall server("/inference.GRPCInferenceService/ServerMetadata");
  EXPECT_EQ(run(server.say(kserve::ServerMetadataRequest()))
                .answers<kserve::ServerMetadataResponse>()
                .at(0)
                .version(),
            "1.2.3");
  kserve::ModelMetadataRequest of_model;
  of_model.set_name("alpha");
  FakeCall metadata("/inference.GRPCInferenceService/ModelMetadata");
  const auto described = run(metadata.say(of_model)).answers<kserve::ModelMetadataResponse>().at(0);
  EXPECT_EQ(described.inputs(0).name(), "text_input");
  EXPECT_EQ(described.outputs(0).name(), "text_output");
}

TEST_F(ServicesTest, AnInferenceIsOneAnswer) {
  FakeCall call("/inference.GRPCInferenceService/ModelInfer");
  const auto told = run(call.say(infer("1", "Say: ", false))).answers<kserve::ModelInferResponse>();
  ASSERT_EQ(call.status(), "0") << call.message();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].outputs(0).contents().bytes_contents(0), "Say: Hello world");
  EXPECT_EQ(told[0].model_name(), "alpha");
}

TEST_F(ServicesTest, AWholeAnswerIsCountedWhileItIsSent) {
  endpoint_.words = {std::string(100'000, 'w')};
  FakeCall call("/inference.GRPCInferenceService/ModelInfer");
  std::size_t counted = 0;
  call.writer.on_write = [&] { counted = memory_->used(); };
  run(call.say(infer("1", "x", false)));
  EXPECT_EQ(call.status(), "0") << call.message();
  EXPECT_GT(counted, 100'000U);
  EXPECT_LT(counted, 110'000U);
  EXPECT_EQ(memory_->used(), 0U);
}

TEST_F(ServicesTest, AStreamOfInferencesSurvivesTheErrorOfOne) {
  FakeCall call("/inference.GRPCInferenceService/ModelStreamInfer");
  beside(call, [&]() -> Task<void> {
    call.say(infer("first", "x"));
    co_await until([&] { return call.writer.writes == 3; });
    auto wrong = infer("second", "x");
    wrong.set_model_name("omega");
    call.say(wrong);
    co_await until([&] { return call.writer.writes == 4; });
    call.say(infer("third", "x", false));
    call.body.end();
  });
  EXPECT_EQ(call.status(), "0") << call.message();
  const auto told = call.answers<kserve::ModelStreamInferResponse>();
  ASSERT_EQ(told.size(), 5U);
  EXPECT_EQ(told[0].infer_response().outputs(0).contents().bytes_contents(0), "Hello");
  EXPECT_TRUE(told[2].infer_response().parameters().at("triton_final_response").bool_param());
  EXPECT_EQ(told[3].infer_response().id(), "second");
  EXPECT_FALSE(told[3].error_message().empty());
  EXPECT_EQ(told[4].infer_response().id(), "third");
  EXPECT_EQ(record_.usage.completion_tokens, 4U);
}

TEST_F(ServicesTest, AStreamOfInferencesEndsWithItsKey) {
  const std::vector<KeyConfig> keys = {{.name = "alice", .key = "sk-alice-0123456789"}};
  LiveKeys live;
  live.set(std::make_shared<const KeyRing>(std::vector{*KeyLayer::make(keys)}, true));
  const Recognizers recognizers{.keys = &live};
  FakeCall call("/inference.GRPCInferenceService/ModelStreamInfer", "x-api-key: sk-alice-0123456789\r\n");
  record_.recognizers = &recognizers;
  beside(call, [&]() -> Task<void> {
    call.say(infer("first", "x"));
    co_await until([&] { return call.writer.writes == 3; });
    EXPECT_EQ(record_.caller->key, "alice");
    live.set(std::make_shared<const KeyRing>(std::vector<std::shared_ptr<const KeyLayer>>(), true));
    call.say(infer("second", "x"));
    call.body.end();
  });
  EXPECT_EQ(call.status(), "16");
  EXPECT_EQ(endpoint_.requests.size(), 1U);
  EXPECT_EQ(record_.caller->key, "alice") << "the log says whose call ended";
}

TEST_F(ServicesTest, AStreamOfInferencesEndsWithAFailedWrite) {
  FakeCall call("/inference.GRPCInferenceService/ModelStreamInfer");
  call.writer.takes = 1;  // the rest of the first answer may be half out
  call.say(infer("first", "x")).say(infer("second", "x")).body.end();
  run(call);
  EXPECT_EQ(call.writer.writes, 1);
  EXPECT_EQ(endpoint_.requests.size(), 1U);
  EXPECT_FALSE(call.writer.finished) << "the stream is reset";
  EXPECT_EQ(call.status(), "");
}

TEST_F(ServicesTest, AClientWithoutAKeyIsToldByStatus) {
  record_.refusal = std::make_shared<const Error>(
      Error{.code = ErrorCode::kUnauthenticated, .origin = Origin::kClient, .message = "show a key"});
  FakeCall call("/openautoglm.v1.Inference/Generate");
  call.say(v1::GenerateRequest()).body.end();
  run(call);
  EXPECT_EQ(call.status(), "16");
  EXPECT_TRUE(endpoint_.requests.empty());
  for (const Route& each : routes_) {
    EXPECT_TRUE(each.says_refusals) << each.path;
    const bool is_probe = each.path.starts_with("/grpc.health.v1.Health/") ||
                          each.path.ends_with("/ServerLive") || each.path.ends_with("/ServerReady");
    EXPECT_EQ(each.open, is_probe) << each.path;
  }
}

}  // namespace
}  // namespace autoglm::gateway::grpc
