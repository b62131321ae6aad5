#include "gateway/protocol/grpc/infer_codec.h"

#include "gateway/protocol/grpc/frames.h"

#include <gtest/gtest.h>
#include <inference/grpc_predict_v2.pb.h>

#include <functional>
#include <utility>
#include <vector>

namespace autoglm::protocol::grpc {
namespace {

namespace kserve = ::inference;

void add_input(kserve::ModelInferRequest& request, const char* name, const char* type) {
  auto& input = *request.add_inputs();
  input.set_name(name);
  input.set_datatype(type);
  input.add_shape(1);
}

void add_text(kserve::ModelInferRequest& request, const char* name, const std::string& text) {
  add_input(request, name, "BYTES");
  request.mutable_inputs(request.inputs_size() - 1)->mutable_contents()->add_bytes_contents(text);
}

void add_flag(kserve::ModelInferRequest& request, const char* name, bool value) {
  add_input(request, name, "BOOL");
  request.mutable_inputs(request.inputs_size() - 1)->mutable_contents()->add_bool_contents(value);
}

kserve::ModelInferRequest hello() {
  kserve::ModelInferRequest request;
  request.set_model_name("m");
  request.set_id("42");
  add_text(request, "text_input", "Hello");
  return request;
}

Result<DecodedCall> decode(const kserve::ModelInferRequest& request, bool streaming = false) {
  return InferCodec(streaming).decode(request.SerializeAsString());
}

template <class Message>
std::vector<Message> messages(std::string_view bytes) {
  std::vector<Message> read;
  while (!bytes.empty()) {
    const auto size = read_prefix(bytes)->size;
    read.push_back(parse<Message>(bytes.substr(kPrefix, size)).value());
    bytes.remove_prefix(kPrefix + size);
  }
  return read;
}

std::string answer_of(const DecodedCall& call) {
  const auto encoder = call.make_encoder({.model = "m"});
  std::string out;
  encoder->events({.events = {{.text = "a"}}}, out);
  encoder->events({.events = {{.text = "b", .finish = FinishReason::kStop}}, .usage = Usage()}, out);
  encoder->end({}, out);
  return out;
}

TEST(GrpcInfer, ReadsTritonsTensors) {
  auto request = hello();
  add_text(request, "sampling_parameters",
           R"({"temperature": "0.5", "top_p": 0.9, "max_tokens": "7", "stop": "1",
                                               "ignore_eos": "True"})");
  const auto call = decode(request);
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->model, "m");
  EXPECT_FALSE(call->stream);
  const GenerateRequest& work = *call->generation();
  EXPECT_EQ(std::get<TextPrompt>(work.prompts.front()).text, "Hello");
  EXPECT_EQ(work.sampling.temperature, 0.5);
  EXPECT_EQ(work.sampling.top_p, 0.9);
  EXPECT_EQ(work.stop.max_tokens, 7U);
  EXPECT_EQ(work.stop.stop, std::vector<std::string>{"1"});
  EXPECT_TRUE(work.stop.ignore_eos);
}

TEST(GrpcInfer, AWholeTextBeginsWithThePromptUnlessToldOtherwise) {
  auto request = hello();
  const auto with = messages<kserve::ModelInferResponse>(answer_of(*decode(request)));
  ASSERT_EQ(with.size(), 1U);
  EXPECT_EQ(with[0].id(), "42");
  EXPECT_EQ(with[0].outputs(0).name(), "text_output");
  EXPECT_EQ(with[0].outputs(0).contents().bytes_contents(0), "Helloab");
  EXPECT_EQ(with[0].parameters_size(), 0);
  add_flag(request, "exclude_input_in_output", true);
  const auto without = messages<kserve::ModelInferResponse>(answer_of(*decode(request)));
  EXPECT_EQ(without[0].outputs(0).contents().bytes_contents(0), "ab");
}

TEST(GrpcInfer, RawTensorsAreAnsweredByRawTensors) {
  kserve::ModelInferRequest request;
  add_input(request, "text_input", "BYTES");
  add_input(request, "exclude_input_in_output", "BOOL");
  request.add_raw_input_contents(std::string("\2\0\0\0Hi", 6));
  request.add_raw_input_contents("\1");
  const auto call = decode(request);
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(std::get<TextPrompt>(call->generation()->prompts.front()).text, "Hi");
  const auto told = messages<kserve::ModelInferResponse>(answer_of(*call));
  ASSERT_EQ(told[0].raw_output_contents_size(), 1);
  EXPECT_EQ(told[0].raw_output_contents(0), std::string("\2\0\0\0ab", 6));
  EXPECT_EQ(told[0].outputs(0).contents().bytes_contents_size(), 0);
}

TEST(GrpcInfer, AStreamTellsWhichAnswerIsTheLast) {
  auto request = hello();
  add_flag(request, "stream", true);
  const auto call = decode(request, true);
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_TRUE(call->stream);
  const auto told = messages<kserve::ModelStreamInferResponse>(answer_of(*call));
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].infer_response().outputs(0).contents().bytes_contents(0), "a");
  EXPECT_FALSE(told[0].infer_response().parameters().at("triton_final_response").bool_param());
  EXPECT_EQ(told[1].infer_response().outputs(0).contents().bytes_contents(0), "b");
  EXPECT_TRUE(told[1].infer_response().parameters().at("triton_final_response").bool_param());
}

TEST(GrpcInfer, TheLastAnswerMayBeEmpty) {
  auto request = hello();
  (*request.mutable_parameters())["triton_enable_empty_final_response"].set_bool_param(true);
  for (const bool stream : {false, true}) {
    if (stream) add_flag(request, "stream", true);
    const auto told = messages<kserve::ModelStreamInferResponse>(answer_of(*decode(request, true)));
    ASSERT_EQ(told.size(), stream ? 3U : 2U);
    EXPECT_EQ(told.back().infer_response().outputs_size(), 0);
    EXPECT_TRUE(told.back().infer_response().parameters().at("triton_final_response").bool_param());
    EXPECT_FALSE(told[0].infer_response().parameters().at("triton_final_response").bool_param());
  }
}

TEST(GrpcInfer, SeveralChoicesAreElementsOfTheOutput) {
  auto request = hello();
  add_text(request, "sampling_parameters", R"({"n": 2})");
  add_flag(request, "exclude_input_in_output", true);
  const auto encoder = decode(request)->make_encoder({.model = "m"});
  std::string out;
  encoder->events({.events = {{.text = "a"}, {.choice = 1, .text = "b"}}, .usage = Usage()}, out);
  encoder->end({}, out);
  const auto told = messages<kserve::ModelInferResponse>(out);
  EXPECT_EQ(told[0].outputs(0).shape(0), 2);
  EXPECT_EQ(told[0].outputs(0).contents().bytes_contents(1), "b");
}

TEST(GrpcInfer, EachChoiceBeginsWithThePrompt) {
  auto request = hello();
  add_text(request, "sampling_parameters", R"({"n": 2})");
  const auto encoder = decode(request)->make_encoder({.model = "m"});
  EXPECT_EQ(encoder->kept(), 10U) << "counted before any text has come";
  std::string out;
  encoder->events({.events = {{.text = "a"}, {.choice = 1, .text = "b"}}, .usage = Usage()}, out);
  encoder->end({}, out);
  const auto told = messages<kserve::ModelInferResponse>(out);
  EXPECT_EQ(told[0].outputs(0).contents().bytes_contents(0), "Helloa");
  EXPECT_EQ(told[0].outputs(0).contents().bytes_contents(1), "Hellob");
}

TEST(GrpcInfer, ChoicesDoNotMultiplyALongPrompt) {
  kserve::ModelInferRequest request;
  add_text(request, "text_input", std::string((std::size_t{32} << 20U) + 1, 'x'));
  EXPECT_TRUE(decode(request)) << "once it may stand there";
  add_text(request, "sampling_parameters", R"({"n": 2})");
  EXPECT_EQ(decode(request).error().param, "sampling_parameters.n");
  add_flag(request, "exclude_input_in_output", true);
  EXPECT_TRUE(decode(request));
}

TEST(GrpcInfer, AnErrorInAStreamIsAMessage) {
  auto request = hello();
  add_flag(request, "stream", true);
  const auto encoder = decode(request, true)->make_encoder({});
  std::string out;
  encoder->failure({.code = ErrorCode::kUnavailable, .message = "broke"}, out);
  const auto told = messages<kserve::ModelStreamInferResponse>(out);
  EXPECT_EQ(told.at(0).error_message(), "broke");
  EXPECT_EQ(told.at(0).infer_response().id(), "42");
}

TEST(GrpcInfer, AWrongTensorIsNamed) {
  using Change = std::function<void(kserve::ModelInferRequest&)>;
  const std::vector<std::pair<std::string, Change>> wrong = {
      {"text_input", [](auto& r) { r.clear_inputs(); }},
      {"text_input", [](auto& r) { r.mutable_inputs(0)->set_datatype("FP32"); }},
      {"text_input", [](auto& r) { r.mutable_inputs(0)->set_shape(0, 2); }},
      {"text_input", [](auto& r) { r.mutable_inputs(0)->mutable_contents()->add_bytes_contents("b"); }},
      {"text_input", [](auto& r) { r.mutable_inputs(0)->mutable_contents()->set_bytes_contents(0, "\xff"); }},
      {"text_input", [](auto& r) { r.add_raw_input_contents(std::string("\3\0\0\0Hi", 6)); }},
      {"text_input", [](auto& r) { r.add_raw_input_contents("Hi"); }},
      {"raw_input_contents", [](auto& r) { r.add_raw_input_contents(), r.add_raw_input_contents(); }},
      {"stream", [](auto& r) { add_text(r, "stream", "yes"); }},
      {"stream", [](auto& r) { add_flag(r, "stream", true); }},  // by ModelInfer
      {"inputs", [](auto& r) { add_text(r, "image", "x"); }},
      {"outputs", [](auto& r) { r.add_outputs()->set_name("logits"); }},
      {"model_version", [](auto& r) { r.set_model_version("2"); }},
      {R"(parameters["lora"])", [](auto& r) { (*r.mutable_parameters())["lora"].set_string_param("x"); }},
      {"sampling_parameters", [](auto& r) { add_text(r, "sampling_parameters", "no json"); }},
      {"sampling_parameters", [](auto& r) { add_text(r, "sampling_parameters", R"({"nonsense":1})"); }},
      {"sampling_parameters.temperature",
       [](auto& r) { add_text(r, "sampling_parameters", R"({"temperature":"9"})"); }},
      {"sampling_parameters.temperature",
       [](auto& r) { add_text(r, "sampling_parameters", R"({"temperature":"hot"})"); }},
  };
  for (const auto& [field, change] : wrong) {
    auto request = hello();
    change(request);
    const auto call = decode(request);
    ASSERT_FALSE(call) << field;
    EXPECT_EQ(call.error().param, field) << call.error().message;
  }
  auto request = hello();
  add_flag(request, "stream", true);
  add_flag(request, "exclude_input_in_output", false);
  EXPECT_EQ(decode(request, true).error().param, "exclude_input_in_output");
}

}  // namespace
}  // namespace autoglm::protocol::grpc
