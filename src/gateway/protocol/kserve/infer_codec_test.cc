#include "gateway/protocol/kserve/infer_codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::protocol::kserve {
namespace {

struct Decoded {
  std::shared_ptr<std::size_t> json_size = std::make_shared<std::size_t>(0);
  Result<DecodedCall> call = fail(Error{});
};

Decoded decode(const std::string& json, std::string_view binary = {}) {
  Decoded decoded;
  std::optional<std::size_t> size;
  if (!binary.empty()) size = json.size();
  decoded.call = InferCodec("m", size, decoded.json_size).decode(json + std::string(binary));
  return decoded;
}

std::string input(const std::string& more = {}) {
  return R"({"id":"7","inputs":[{"name":"text_input","datatype":"BYTES","shape":[2,1],"data":["a",["b"]]})" +
         more + "]";
}

std::string answer(const Decoded& decoded, const EventBatch& batch = {}) {
  EXPECT_TRUE(decoded.call) << decoded.call.error().message;
  if (!decoded.call) return {};
  const auto encoder = decoded.call->make_encoder({.model = "m"});
  std::string out;
  encoder->events(batch, out);
  encoder->end({.prompt_tokens = 3, .completion_tokens = 2}, out);
  return out;
}

const EventBatch kTwo{.events = {{.choice = 0, .tokens = {1}, .text = "1", .finish = FinishReason::kLength},
                                 {.choice = 1, .tokens = {2}, .text = "2", .finish = FinishReason::kStop}}};

TEST(KserveInfer, ATensorOfTextsIsAnsweredByOne) {
  const Decoded decoded = decode(input() + "}");
  ASSERT_TRUE(decoded.call) << decoded.call.error().message;
  EXPECT_EQ(decoded.call->model, "m");
  EXPECT_EQ(decoded.call->generation()->prompts.size(), 2U);
  EXPECT_EQ(decoded.call->generation()->stop.max_tokens, 16U) << "as Triton's backend for vLLM";
  EXPECT_EQ(answer(decoded, kTwo),
            R"({"model_name":"m","model_version":"1","id":"7","outputs":[)"
            R"({"name":"text_output","datatype":"BYTES","shape":[2],"data":["a1","b2"]}]})");
}

TEST(KserveInfer, TheInputsThatAnAnswerRepeatsCountBeforeAnyTextHasCome) {
  EXPECT_EQ(decode(input() + "}").call->make_encoder({})->kept(), 2U);
  EXPECT_EQ(
      decode(input() + R"(,"parameters":{"exclude_input_in_output":true}})").call->make_encoder({})->kept(),
      0U);
}

TEST(KserveInfer, CountsTokensByTheUsageWhereAnEndpointTellsNoIds) {
  const std::string body = R"({"inputs":[{"name":"text_input","datatype":"BYTES","shape":[1],"data":["a"]}],)"
                           R"("outputs":[{"name":"num_output_tokens"}]})";
  const std::string out = answer(decode(body), {.events = {{.text = "bc", .finish = FinishReason::kStop}}});
  EXPECT_TRUE(out.contains(R"("shape":[1],"data":[2]})")) << out;
}

TEST(KserveInfer, TensorsAndParametersSayTheSame) {
  const std::string flags =
      R"(,{"name":"sampling_parameters","datatype":"BYTES","shape":[1],"data":["{\"temperature\":0,\"max_tokens\":5}"]})"
      R"(,{"name":"exclude_input_in_output","datatype":"BOOL","shape":[1],"data":[true]})"
      R"(,{"name":"return_finish_reason","datatype":"BOOL","shape":[1],"data":[true]})"
      R"(,{"name":"return_num_output_tokens","datatype":"BOOL","shape":[1],"data":[true]})";
  const Decoded tensors = decode(input(flags) + "}");
  const Decoded parameters = decode(
      input() +
      R"(,"parameters":{"temperature":0,"max_tokens":5,"exclude_input_in_output":true,"return_finish_reason":true,)"
      R"("return_num_output_tokens":true}})");
  for (const Decoded* decoded : {&tensors, &parameters}) {
    ASSERT_TRUE(decoded->call) << decoded->call.error().message;
    EXPECT_EQ(decoded->call->generation()->sampling.temperature, 0);
    EXPECT_EQ(decoded->call->generation()->stop.max_tokens, 5U);
    EXPECT_EQ(answer(*decoded, kTwo),
              R"({"model_name":"m","model_version":"1","id":"7","outputs":[)"
              R"({"name":"text_output","datatype":"BYTES","shape":[2],"data":["1","2"]},)"
              R"({"name":"finish_reason","datatype":"BYTES","shape":[2],"data":["length","stop"]},)"
              R"({"name":"num_output_tokens","datatype":"UINT32","shape":[2],"data":[1,1]}]})");
  }
}

std::string text_bytes(std::string_view text) {
  std::string bytes(4, '\0');
  bytes[0] = static_cast<char>(text.size());
  return bytes.append(text);
}

TEST(KserveInfer, TensorsStandBehindTheJson) {
  const std::string json =
      R"({"inputs":[{"name":"text_input","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":11}},)"
      R"({"name":"exclude_input_in_output","datatype":"BOOL","shape":[1],"parameters":{"binary_data_size":1}}],)"
      R"("outputs":[{"name":"text_output","parameters":{"binary_data":true}},{"name":"num_input_tokens"}]})";
  const Decoded decoded = decode(json, text_bytes("ab") + text_bytes("c") + "\x01");
  ASSERT_TRUE(decoded.call) << decoded.call.error().message;
  EXPECT_EQ(std::get<TextPrompt>(decoded.call->generation()->prompts[1]).text, "c");
  const std::string out = answer(decoded, kTwo);
  const std::string head = out.substr(0, *decoded.json_size);
  EXPECT_EQ(head,
            R"({"model_name":"m","model_version":"1","outputs":[)"
            R"({"name":"text_output","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":10}},)"
            R"({"name":"num_input_tokens","datatype":"UINT32","shape":[1],"data":[3]}]})");
  EXPECT_EQ(out.substr(head.size()), text_bytes("1") + text_bytes("2"));
  EXPECT_EQ(decoded.call->make_encoder({})->content_type(), "application/octet-stream");
}

TEST(KserveInfer, AnEmbeddingIsAnOutputOfItsOwn) {
  const std::string asked =
      input() + R"(,"outputs":[{"name":"embedding"}],"parameters":{"dimensions":2,"binary_data_output":)";
  const EventBatch vectors{
      .answer = std::make_shared<const WholeAnswer>(EmbedResult{{{0.5F, -1.0F}, {1.0F, 0.25F}}})};
  const Decoded decoded = decode(asked + "false}}");
  ASSERT_TRUE(decoded.call) << decoded.call.error().message;
  const auto& work = std::get<EmbedRequest>(decoded.call->work);
  EXPECT_EQ(work.inputs.size(), 2U);
  EXPECT_EQ(work.dimensions, 2U);
  EXPECT_EQ(answer(decoded, vectors),
            R"({"model_name":"m","model_version":"1","id":"7","outputs":[)"
            R"({"name":"embedding","datatype":"FP32","shape":[2,2],"data":[0.5,-1,1,0.25]}]})");
  const Decoded binary = decode(asked + "true}}");
  const std::string out = answer(binary, vectors);
  float number = 0;
  ASSERT_EQ(out.size() - *binary.json_size, 16U);
  std::memcpy(&number, out.data() + *binary.json_size + 4, 4);
  EXPECT_EQ(number, -1.0F);
}

TEST(KserveInfer, WrongInputIsRefusedByName) {
  const auto text = [](const std::string& members) {
    return R"({"inputs":[{"name":"text_input",)" + members + "}]}";
  };
  for (const auto& [body, field] : {
           std::pair(std::string("{}"), "inputs"),
           std::pair(std::string(R"({"inputs":7})"), "inputs"),
           std::pair(std::string(R"({"inputs":[{}]})"), "inputs[0].name"),
           std::pair(text(R"("datatype":"FP32","shape":[1],"data":[1])"), "inputs[0].data[0]"),
           std::pair(text(R"("datatype":"INT8","shape":[1],"data":["a"])"), "text_input"),
           std::pair(text(R"("datatype":"BYTES","shape":[2],"data":["a"])"), "text_input"),
           std::pair(text(R"("datatype":"BYTES","shape":[1],"data":[true])"), "text_input"),
           std::pair(text(R"("datatype":"BYTES","shape":[-1],"data":["a"])"), "inputs[0].shape[0]"),
           std::pair(text(R"("datatype":"BYTES","shape":[],"data":["a"])"), "inputs[0].shape"),
           std::pair(text(R"("datatype":"BYTES","shape":[100,100],"data":["a"])"), "inputs[0].shape"),
           std::pair(text(R"("datatype":"BYTES","shape":[1])"), "text_input"),
           std::pair(text(R"("datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5})"),
                     "text_input"),
           std::pair(text(R"("datatype":"BYTES","shape":[1],"parameters":{"shared_memory_region":"r"})"),
                     "inputs[0].parameters.shared_memory_region"),
           std::pair(input(R"(,{"name":"image","datatype":"BYTES","shape":[1],"data":["x"]})") + "}",
                     "image"),
           std::pair(input(R"(,{"name":"stream","datatype":"BOOL","shape":[1],"data":[true]})") + "}",
                     "stream"),
           std::pair(
               input(R"(,{"name":"return_logprobs","datatype":"BOOL","shape":[1],"data":[true]})") + "}",
               "return_logprobs"),
           std::pair(
               input(R"(,{"name":"sampling_parameters","datatype":"BYTES","shape":[1],"data":["x"]})") + "}",
               "sampling_parameters"),
           std::pair(input() + R"(,"outputs":[{"name":"logits"}]})", "outputs"),
           std::pair(input() + R"(,"outputs":[{"name":"embedding"},{"name":"text_output"}]})", "outputs"),
           std::pair(input() + R"(,"outputs":[{"name":"text_output"},{"name":"text_output"}]})", "outputs"),
           std::pair(input() + R"(,"outputs":[{"name":"embedding"},{"name":"embedding"}]})", "outputs"),
           std::pair(input() + R"(,"parameters":{"temperature":9}})", "parameters.temperature"),
           std::pair(input() + R"(,"parameters":{"n":2}})", "n"),
       }) {
    const Decoded decoded = decode(body);
    ASSERT_FALSE(decoded.call) << body;
    EXPECT_EQ(decoded.call.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(decoded.call.error().param, field) << decoded.call.error().message;
  }
}

TEST(KserveInfer, ABinaryTensorThatIsCutAnywhereIsAnError) {
  const std::string json =
      R"({"inputs":[{"name":"text_input","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":6}}]})";
  const std::string whole = text_bytes("ab");
  EXPECT_TRUE(decode(json, whole).call);
  for (std::size_t size = 1; size < whole.size(); ++size)
    EXPECT_EQ(decode(json, whole.substr(0, size)).call.error().param, "text_input") << size;
  EXPECT_EQ(decode(json, whole + "x").call.error().param, "inputs");
  EXPECT_EQ(decode(json, text_bytes("\xff\xff")).call.error().param, "text_input") << "no UTF-8";
  std::string long_one = whole;
  long_one[3] = '\x7f';
  EXPECT_EQ(decode(json, long_one).call.error().param, "text_input");
  EXPECT_EQ(InferCodec("m", 1'000, std::make_shared<std::size_t>(0)).decode("{}").error().param,
            "Inference-Header-Content-Length");
}

}  // namespace
}  // namespace autoglm::protocol::kserve
