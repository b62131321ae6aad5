#include "gateway/front/http/ollama_routes.h"

#include "gateway/front/http/testing/front_fixture.h"
#include "gateway/front/http/welcome_routes.h"

#include <chrono>
#include <string>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

class OllamaRoutes : public FrontFixture {
 protected:
  OllamaRoutes() {
    std::vector<Route> routes = welcome_routes(models_, readiness_, {.version = "1"});
    for (auto& route : ollama_routes(pipeline_, settings_)) routes.push_back(std::move(route));
    serve(std::move(routes));
  }
  RecordingWriter chat(const std::string& members) {
    return call("POST", "/api/chat",
                R"({"model":"alpha:latest","messages":[{"role":"user","content":"Hi"}])" + members + "}");
  }
};

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string_view::npos; at += what.size()) ++found;
  return found;
}

TEST_F(OllamaRoutes, StreamsJsonLines) {
  const auto answer = chat("");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.type, "application/x-ndjson");
  EXPECT_TRUE(answer.finished);
  EXPECT_EQ(count(answer.body, "\n"), 3U) << answer.body;
  EXPECT_TRUE(answer.body.contains(R"("content":" world"},"done":false})")) << answer.body;
  EXPECT_TRUE(answer.body.contains(R"("done":true,"done_reason":"stop","total_duration":)")) << answer.body;
  EXPECT_TRUE(answer.body.starts_with(R"({"model":"alpha:latest","created_at":"2)")) << answer.body;
  EXPECT_EQ(endpoint_.requests.front()->model, "alpha");
}

TEST_F(OllamaRoutes, TimesAreMeasured) {
  const auto answer = chat(R"(,"stream":false)");
  EXPECT_EQ(answer.type, "application/json");
  EXPECT_TRUE(answer.body.contains(R"("content":"Hello world")")) << answer.body;
  EXPECT_FALSE(answer.body.contains(R"("total_duration":0)")) << answer.body;
  EXPECT_TRUE(answer.body.contains(R"("prompt_eval_count":3)")) << answer.body;
}

TEST_F(OllamaRoutes, ErrorsHaveItsShape) {
  for (const auto& [method, path, body, status] : {
           std::tuple("POST", "/api/chat", R"({"model":"beta","messages":[{"role":"user"}]})", 404),
           std::tuple("POST", "/api/chat", "{", 400),
           std::tuple("POST", "/api/show", R"({"model":"beta"})", 404),
           std::tuple("GET", "/api/chat", "", 405),
           std::tuple("GET", "/api/nothing", "", 404),
           std::tuple("POST", "/api/pull", R"({"model":"beta"})", 501),
           std::tuple("POST", "/api/create", R"({"model":"beta"})", 501),
           std::tuple("DELETE", "/api/delete", R"({"model":"alpha"})", 501),
       }) {
    const auto answer = call(method, path, body);
    EXPECT_EQ(answer.status, status) << path << answer.body;
    EXPECT_TRUE(answer.body.starts_with(R"({"error":")")) << path << answer.body;
  }
  endpoint_.refuse_with = Error{.code = ErrorCode::kResourceExhausted, .message = "full", .retry_after = 7s};
  const auto full = chat("");
  EXPECT_EQ(full.status, 429);
  EXPECT_EQ(full.headers.at("Retry-After"), "7");
  EXPECT_EQ(full.body, R"({"error":"full"})");
}

TEST_F(OllamaRoutes, AFailureInTheMiddleIsALine) {
  endpoint_.fail_after_words = Error{.code = ErrorCode::kUnavailable, .message = "died"};
  EXPECT_TRUE(chat("").body.ends_with("\n{\"error\":\"died\"}\n"));
  EXPECT_EQ(chat(R"(,"stream":false)").status, 503);
}

TEST_F(OllamaRoutes, SaysThatItIsLeaving) {
  readiness_.begin_drain();
  const auto answer = chat("");
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.body.starts_with(R"({"error":"this server is shutting down)")) << answer.body;
}

TEST_F(OllamaRoutes, LoadsNothingAndSaysSo) {
  const auto loaded = call("POST", "/api/generate", R"({"model":"alpha"})");
  EXPECT_EQ(loaded.status, 200);
  EXPECT_TRUE(loaded.body.ends_with(R"("response":"","done":true,"done_reason":"load"})")) << loaded.body;
  EXPECT_EQ(call("POST", "/api/generate", R"({"model":"beta"})").status, 404);
  EXPECT_EQ(call("POST", "/api/embed", R"({"model":"alpha","input":[]})").status, 200);
  EXPECT_TRUE(endpoint_.requests.empty());
  EXPECT_EQ(call("POST", "/api/pull", R"({"name":"alpha:latest"})").body, "{\"status\":\"success\"}\n");
}

TEST_F(OllamaRoutes, DescribesModels) {
  EXPECT_TRUE(call("GET", "/api/tags").body.contains(R"("name":"alpha:latest")"));
  EXPECT_TRUE(call("GET", "/api/ps").body.contains(R"("context_length":2048)"));
  endpoint_.current_status.state = EndpointStatus::State::kLoading;
  EXPECT_EQ(call("GET", "/api/ps").body, R"({"models":[]})");
  EXPECT_TRUE(
      call("POST", "/api/show", R"({"model":"alpha"})").body.contains(R"("capabilities":["completion"])"));
  EXPECT_TRUE(call("GET", "/api/version").body.starts_with(R"({"version":"0.)"));
}

TEST_F(OllamaRoutes, ItsClientsFindTheServer) {
  const auto head = call("HEAD", "/", "", "");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "Ollama is running");
  EXPECT_EQ(call("GET", "/", "", "User-Agent: ollama/0.12\r\n").body, "Ollama is running");
  EXPECT_EQ(call("GET", "/", "", "Accept: text/html\r\n").type, "text/html; charset=utf-8");
  EXPECT_EQ(call("GET", "/", "", "User-Agent: curl/8\r\n").status, 404);
}

}  // namespace
}  // namespace autoglm::gateway
