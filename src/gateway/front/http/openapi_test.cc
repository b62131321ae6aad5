#include "gateway/front/http/openapi.h"

#include "gateway/front/http/kserve_routes.h"
#include "gateway/front/http/ollama_routes.h"
#include "gateway/front/http/testing/front_fixture.h"

#include <simdjson.h>

#include <string>

namespace autoglm::gateway {
namespace {

Route route(std::string_view method, std::string_view path, std::string_view example = "") {
  return {.method = method, .path = path, .example = example, .answer = nullptr};
}

TEST(OpenApi, SaysWhatARouteTakesAndHowItsErrorsLook) {
  const std::vector<Route> routes = {
      described("Chats", route("POST", "/v1/chat", " -H 'Content-Type: application/json' -d '{\"a\": 1}'")),
      route("GET", "/v1/models/"), route("DELETE", "/v1/models/")};
  const std::string document = openapi_document(routes, "1.2");
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  ASSERT_EQ(parser.parse(document).get(root), simdjson::SUCCESS) << document;
  const auto text = [&](std::string_view pointer) {
    std::string_view value;
    return root.at_pointer(pointer).get(value) == simdjson::SUCCESS ? std::string(value)
                                                                    : std::string("none");
  };
  EXPECT_EQ(text("/openapi"), "3.1.0");
  EXPECT_EQ(text("/info/version"), "1.2");
  EXPECT_EQ(text("/paths/~1v1~1chat/post/summary"), "Chats");
  EXPECT_EQ(text("/paths/~1v1~1chat/post/operationId"), "post_v1_chat");
  std::int64_t a = 0;
  EXPECT_EQ(root.at_pointer("/paths/~1v1~1chat/post/requestBody/content/application~1json/example/a").get(a),
            simdjson::SUCCESS);
  EXPECT_EQ(a, 1);
  EXPECT_EQ(text("/paths/~1v1~1models~1{name}/get/parameters/0/name"), "name");
  EXPECT_EQ(text("/paths/~1v1~1models~1{name}/delete/operationId"), "delete_v1_models_name");
  EXPECT_EQ(text("/paths/~1v1~1chat/post/responses/4XX/content/application~1json/example/error/type"),
            "invalid_request_error");
}

using OpenApiRoute = FrontFixture;

TEST_F(OpenApiRoute, ListsEveryPathThatAFourOhFourLists) {
  std::vector<Route> routes = ollama_routes(pipeline_, settings_);
  for (auto& each : kserve_routes(pipeline_, readiness_, settings_, "1")) routes.push_back(std::move(each));
  routes.push_back(openapi_route(routes, "1"));
  const std::vector<Route> listed = routes;
  serve(std::move(routes));
  const std::string document = call("GET", "/openapi.json").body;
  std::size_t paths = 0;
  for (const Route& each : listed) {
    if (each.only_for) {
      EXPECT_FALSE(document.contains("\"" + std::string(each.path) + "\":{")) << each.path;
      continue;
    }
    EXPECT_TRUE(document.contains("\n\"" + std::string(each.path) + "\":{")) << each.path;
    EXPECT_FALSE(each.summary.empty()) << each.path;
    ++paths;
  }
  EXPECT_GT(paths, 15U);
}

}  // namespace
}  // namespace autoglm::gateway
