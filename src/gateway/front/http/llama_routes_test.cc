#include "gateway/front/http/llama_routes.h"

#include "gateway/front/http/testing/front_fixture.h"

#include <string>

namespace autoglm::gateway {
namespace {

class LlamaRoutes : public FrontFixture {
 protected:
  LlamaRoutes() { serve(llama_routes(pipeline_, settings_, "b1")); }
};

TEST_F(LlamaRoutes, Completes) {
  const auto whole = call("POST", "/completion", R"({"prompt":"Hi","n_predict":5})");
  EXPECT_EQ(whole.status, 200);
  EXPECT_TRUE(whole.body.starts_with(R"({"index":0,"content":"Hello world")")) << whole.body;
  EXPECT_TRUE(whole.body.contains(R"("stop_type":"eos")")) << whole.body;
  const auto stream = call("POST", "/completion", R"({"prompt":"Hi","stream":true})");
  EXPECT_EQ(stream.type, "text/event-stream; charset=utf-8");
  EXPECT_TRUE(stream.body.starts_with(R"(data: {"index":0,"content":"Hello")")) << stream.body;
  EXPECT_FALSE(stream.body.contains("[DONE]"));
}

TEST_F(LlamaRoutes, FillsIn) {
  const auto answer = call("POST", "/infill", R"({"input_prefix":"a","input_suffix":"b"})");
  EXPECT_EQ(answer.status, 200);
  const auto& prompt = std::get<TextPrompt>(endpoint_.requests.back()->generation()->prompts.front());
  EXPECT_EQ(prompt.text + "|" + prompt.suffix, "a|b");
}

TEST_F(LlamaRoutes, ShowsPropsAndSlots) {
  endpoint_.current_load = {.running = 2, .max_running = 2};
  EXPECT_TRUE(call("GET", "/props").body.contains(R"("n_ctx":2048},"total_slots":2,"model_alias":"alpha")"));
  EXPECT_EQ(call("GET", "/slots").status, 200);
  EXPECT_EQ(call("GET", "/slots?fail_on_no_slot=1").status, 503);
  endpoint_.current_load.running = 1;
  EXPECT_EQ(call("GET", "/slots?x=1&fail_on_no_slot=1").status, 200);
  EXPECT_EQ(call("GET", "/props?model=beta").status, 404);
}

TEST_F(LlamaRoutes, ErrorsHaveItsShape) {
  EXPECT_TRUE(call("POST", "/completion", "{}")
                  .body.starts_with(R"({"error":{"code":400,"message":"prompt is missing)"));
  EXPECT_TRUE(call("GET", "/completion").body.starts_with(R"({"error":{"code":405,)"));
  EXPECT_TRUE(call("GET", "/slots?model=beta").body.starts_with(R"({"error":{"code":404,)"));
  endpoint_.fail_after_words = Error{.code = ErrorCode::kUnavailable, .message = "died"};
  EXPECT_TRUE(
      call("POST", "/completion", R"({"prompt":"Hi","stream":true})")
          .body.ends_with(
              "data: {\"error\":{\"code\":503,\"message\":\"died\",\"type\":\"unavailable_error\"}}\n\n"));
}

}  // namespace
}  // namespace autoglm::gateway
