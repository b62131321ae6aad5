#include "gateway/front/http/kserve_routes.h"

#include "gateway/front/http/testing/front_fixture.h"

#include <string>

namespace autoglm::gateway {
namespace {

class KserveRoutes : public FrontFixture {
 protected:
  KserveRoutes() { serve(kserve_routes(pipeline_, readiness_, settings_, "1.2.3")); }
};

constexpr const char* kText =
    R"({"inputs":[{"name":"text_input","datatype":"BYTES","shape":[1],"data":["Say "]}]})";

TEST_F(KserveRoutes, InfersByNameAndVersion) {
  for (const char* path :
       {"/v2/models/alpha/infer", "/v2/models/alpha/versions/1/infer", "/v2/models/%61lpha/infer"}) {
    const auto answer = call("POST", path, kText);
    EXPECT_EQ(answer.status, 200) << path << answer.body;
    EXPECT_EQ(answer.body, R"({"model_name":"alpha","model_version":"1","outputs":[{"name":"text_output",)"
                           R"("datatype":"BYTES","shape":[1],"data":["Say Hello world"]}]})");
    EXPECT_FALSE(answer.headers.contains("Inference-Header-Content-Length"));
  }
}

TEST_F(KserveRoutes, TensorsMayStandBehindTheJson) {
  const std::string json =
      R"({"inputs":[{"name":"text_input","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":6}}],)"
      R"("parameters":{"binary_data_output":true,"exclude_input_in_output":true}})";
  const std::string size = "Inference-Header-Content-Length: " + std::to_string(json.size()) + "\r\n";
  const auto answer = call("POST", "/v2/models/alpha/infer", json + std::string("\x02\0\0\0Hi", 6),
                           "Content-Type: application/octet-stream\r\n" + size);
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.type, "application/octet-stream");
  const std::size_t head = std::stoul(answer.headers.at("Inference-Header-Content-Length"));
  EXPECT_TRUE(answer.body.substr(0, head).ends_with(R"("parameters":{"binary_data_size":15}}]})"))
      << answer.body;
  EXPECT_EQ(answer.body.substr(head), std::string("\x0b\0\0\0Hello world", 15));
  EXPECT_EQ(call("POST", "/v2/models/alpha/infer", kText, "Inference-Header-Content-Length: x\r\n").status,
            400);
  EXPECT_EQ(call("POST", "/v2/models/alpha/infer", kText, "Inference-Header-Content-Length: 9999\r\n").status,
            400);
}

TEST_F(KserveRoutes, GeneratesWholeAndStreamed) {
  const std::string body = R"({"text_input":"Say ","parameters":{"exclude_input_in_output":true}})";
  const auto whole = call("POST", "/v2/models/alpha/generate", body);
  EXPECT_EQ(whole.body, R"({"model_name":"alpha","model_version":"1","text_output":"Hello world"})");
  const auto stream = call("POST", "/v2/models/alpha/versions/1/generate_stream", body);
  EXPECT_EQ(stream.type, "text/event-stream; charset=utf-8");
  EXPECT_EQ(stream.body,
            "data: {\"model_name\":\"alpha\",\"model_version\":\"1\",\"text_output\":\"Hello\"}\n\n"
            "data: {\"model_name\":\"alpha\",\"model_version\":\"1\",\"text_output\":\" world\"}\n\n");
}

TEST_F(KserveRoutes, DescribesServerAndModels) {
  EXPECT_EQ(call("GET", "/v2").body,
            R"({"name":"open-autoglm","version":"1.2.3","extensions":["binary_tensor_data","generate"]})");
  EXPECT_TRUE(call("GET", "/v2/models/alpha").body.starts_with(R"({"name":"alpha","versions":["1"],)"));
  EXPECT_EQ(call("GET", "/v2/models/alpha/versions/1/ready").body, R"({"name":"alpha","ready":true})");
  EXPECT_EQ(call("GET", "/v2/health/live").status, 200);
  EXPECT_EQ(call("GET", "/v2/health/ready").body, R"({"ready":true})");
  endpoint_.current_status.state = EndpointStatus::State::kLoading;
  EXPECT_EQ(call("GET", "/v2/health/live").status, 200);
  EXPECT_EQ(call("GET", "/v2/health/ready").status, 503);
  EXPECT_EQ(call("GET", "/v2/models/alpha/ready").status, 503);
}

TEST_F(KserveRoutes, ErrorsHaveItsShape) {
  for (const auto& [method, path, body, status] : {
           std::tuple("POST", "/v2/models/beta/infer", kText, 404),
           std::tuple("POST", "/v2/models/alpha/versions/2/infer", kText, 404),
           std::tuple("GET", "/v2/models/beta/ready", "", 404),
           std::tuple("GET", "/v2/models/beta", "", 404),
           std::tuple("GET", "/v2/models/alpha/infer", "", 405),
           std::tuple("GET", "/v2/models/alpha/generate_stream", "", 405),
           std::tuple("POST", "/v2/models/alpha", "{}", 405),
           std::tuple("POST", "/v2/models/alpha/infer", "{}", 400),
           std::tuple("POST", "/v2/models/alpha/generate", "[]", 400),
           std::tuple("GET", "/v2/repository", "", 404),
       }) {
    const auto answer = call(method, path, body);
    EXPECT_EQ(answer.status, status) << method << " " << path << answer.body;
    EXPECT_TRUE(answer.body.starts_with(R"({"error":")")) << path << answer.body;
  }
  readiness_.begin_drain();
  EXPECT_EQ(call("POST", "/v2/models/alpha/infer", kText).status, 503);
}

TEST_F(KserveRoutes, AFailureInTheMiddleIsAFrame) {
  endpoint_.fail_after_words = Error{.code = ErrorCode::kUnavailable, .message = "died"};
  EXPECT_TRUE(call("POST", "/v2/models/alpha/generate_stream", R"({"text_input":"x"})")
                  .body.ends_with("data: {\"error\":\"died\"}\n\n"));
}

}  // namespace
}  // namespace autoglm::gateway
