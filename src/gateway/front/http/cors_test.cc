#include "gateway/front/http/cors.h"

#include "gateway/front/http/model_routes.h"
#include "gateway/front/http/ollama_routes.h"
#include "gateway/front/http/testing/front_fixture.h"

#include <string>

namespace autoglm::gateway {
namespace {

class Cors : public FrontFixture {
 protected:
  void allow(CorsPolicy policy) {
    std::vector<Route> routes = ollama_routes(pipeline_, settings_);
    for (auto& route : model_routes(pipeline_, "1")) routes.push_back(std::move(route));
    serve(std::move(routes));
    front_->allow_pages(std::move(policy));
  }
  RecordingWriter preflight(std::string_view path, const std::string& origin, const std::string& more = "") {
    return call("OPTIONS", path, "",
                "Origin: " + origin + "\r\nAccess-Control-Request-Method: POST\r\n" + more);
  }

  const std::string page_ = "Origin: https://app.example\r\nContent-Type: application/json\r\n";
};

TEST_F(Cors, IsOffUnlessConfigured) {
  allow({});
  const auto answer = call("GET", "/v1/models", "", page_);
  EXPECT_EQ(answer.status, 200);
  EXPECT_FALSE(answer.headers.contains("Vary"));
  EXPECT_FALSE(answer.headers.contains("Access-Control-Allow-Origin"));
  EXPECT_EQ(preflight("/api/chat", "https://app.example").status, 405);
}

TEST_F(Cors, AnswersAPreflightWithoutAnyRoute) {
  allow({.origins = {"https://app.example"}});
  for (const char* path : {"/api/chat", "/nowhere"}) {
    const auto answer = preflight(path, "https://app.example",
                                  "Access-Control-Request-Headers: authorization, content-type\r\n");
    EXPECT_EQ(answer.status, 204) << path;
    EXPECT_TRUE(answer.body.empty());
    EXPECT_EQ(answer.headers.at("Access-Control-Allow-Origin"), "https://app.example");
    EXPECT_EQ(answer.headers.at("Access-Control-Allow-Headers"), "authorization, content-type");
    EXPECT_EQ(answer.headers.at("Access-Control-Allow-Methods"), "GET, HEAD, POST, PUT, PATCH, DELETE");
    EXPECT_EQ(answer.headers.at("Access-Control-Max-Age"), "600");
    EXPECT_EQ(answer.headers.at("Vary"), "Origin");
  }
  EXPECT_TRUE(endpoint_.requests.empty());
}

TEST_F(Cors, APageThatIsNotNamedGetsNothing) {
  allow({.origins = {"https://app.example"}});
  const auto asked = preflight("/api/chat", "https://evil.example");
  EXPECT_EQ(asked.status, 403);
  EXPECT_TRUE(asked.body.contains("server.cors.origins")) << asked.body;
  EXPECT_FALSE(asked.headers.contains("Access-Control-Allow-Origin"));
  const auto answer = call("GET", "/v1/models", "", "Origin: https://evil.example\r\n");
  EXPECT_FALSE(answer.headers.contains("Access-Control-Allow-Origin"));
  EXPECT_EQ(answer.headers.at("Vary"), "Origin") << "a cache must not give it to the other";
}

TEST_F(Cors, AnswersAndErrorsCanBeRead) {
  allow({.origins = {"https://app.example"}});
  for (const auto& [method, path, body, status] :
       {std::tuple("GET", "/v1/models", "", 200), std::tuple("GET", "/nowhere", "", 404),
        std::tuple("GET", "/api/chat", "", 405), std::tuple("POST", "/api/chat", "{", 400),
        std::tuple("POST", "/api/chat", R"({"messages":[{"role":"user","content":"Hi"}]})", 200)}) {
    const auto answer = call(method, path, body, page_);
    EXPECT_EQ(answer.status, status) << path;
    EXPECT_EQ(answer.headers.at("Access-Control-Allow-Origin"), "https://app.example");
    EXPECT_TRUE(answer.headers.at("Access-Control-Expose-Headers").contains("x-request-id"));
  }
}

TEST_F(Cors, AStarIsForAnyPageAndNotForTheReadersNetwork) {
  const std::string asks = "Access-Control-Request-Private-Network: true\r\n";
  allow({.origins = {"*"}});
  const auto any = preflight("/api/chat", "https://evil.example", asks);
  EXPECT_EQ(any.status, 204);
  EXPECT_EQ(any.headers.at("Access-Control-Allow-Origin"), "*");
  EXPECT_FALSE(any.headers.contains("Access-Control-Allow-Private-Network"));
  EXPECT_FALSE(any.headers.contains("Vary"));
  allow({.origins = {"https://app.example"}, .headers = {"Authorization", "Content-Type"}});
  const auto named = preflight("/api/chat", "https://app.example", asks);
  EXPECT_EQ(named.headers.at("Access-Control-Allow-Private-Network"), "true");
  EXPECT_EQ(named.headers.at("Access-Control-Allow-Headers"), "Authorization, Content-Type");
}

TEST_F(Cors, AFormFromElsewhereStaysForbidden) {
  allow({.origins = {"https://app.example"}});
  const auto answer = call("POST", "/api/chat", R"({"messages":[{"role":"user","content":"Hi"}]})",
                           "Origin: https://app.example\r\nContent-Type: text/plain\r\n");
  EXPECT_EQ(answer.status, 403);
  EXPECT_TRUE(answer.body.starts_with(R"({"error":")")) << "in the protocol's words: " << answer.body;
  EXPECT_TRUE(endpoint_.requests.empty());
}

TEST_F(Cors, OptionsWithoutAPreflightsHeadersIsAMethodLikeOthers) {
  allow({.origins = {"https://app.example"}});
  EXPECT_EQ(call("OPTIONS", "/api/chat", "", "Origin: https://app.example\r\n").status, 405);
}

}  // namespace
}  // namespace autoglm::gateway
