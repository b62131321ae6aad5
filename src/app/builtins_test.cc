#include "app/builtins.h"

#include "gateway/front/http/testing/recording_writer.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

namespace autoglm::app {
namespace {

TEST(OpenApiReference, IsUpToDate) {
  const gateway::LiveDirectory models(1);
  const gateway::Pipeline pipeline(models);
  const gateway::Readiness readiness;
  observe::MetricRegistry metrics;
  BlockingPool pool(1, 1);
  const auto routes = public_routes(pipeline, readiness, metrics, {}, nullptr, pool);
  const auto route = std::ranges::find(routes, "/openapi.json", &gateway::Route::path);
  ASSERT_NE(route, routes.end());
  EventLoop loop;
  http::Request request;
  gateway::RecordingWriter writer;
  gateway::RequestRecord record;
  run_task(loop, route->answer(request, writer, record));

  std::ifstream file(std::string(AUTOGLM_SOURCE_DIR) + "/docs/reference/openapi.json");
  const std::string kept{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (writer.body == kept) return;
  const std::string fresh = ::testing::TempDir() + "openapi.json";
  std::ofstream(fresh) << writer.body;
  FAIL() << "docs/reference/openapi.json is not what the server says; run: cp " << fresh
         << " docs/reference/openapi.json";
}

}  // namespace
}  // namespace autoglm::app
