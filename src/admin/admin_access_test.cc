#include "admin/admin_access.h"

#include "gateway/front/http/front.h"
#include "gateway/front/http/testing/recording_writer.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::admin {
namespace {

using gateway::HttpFront;
using gateway::Readiness;
using gateway::RecordingWriter;
using gateway::RequestRecord;
using gateway::Route;

constexpr const char* kToken = "correct horse";

class AdminAccessTest : public ::testing::Test {
 protected:
  AdminAccessTest() : log_(observe::Logger::create({.file = "/dev/null"}).value()) { serve({.local = true}); }

  void serve(const AdminAccess& access) {
    const auto route = [this](const char* method, const char* path) {
      return Route{
          method, path, "",
          [this](http::Request&, http::ResponseWriter& response, RequestRecord& record) -> Task<void> {
            ++calls_;
            record.status = 200;
            co_await response.send(200, "text/plain", "done");
          }};
    };
    front_ =
        std::make_unique<HttpFront>(for_operators({route("POST", "/reload"), route("DELETE", "/keys/{name}"),
                                                   route("GET", "/endpoints"), route("GET", "/livez")},
                                                  access),
                                    readiness_, registry_, *log_);
  }

  RecordingWriter call(const std::string& method, const std::string& path, const std::string& headers = "",
                       std::string body = "") {
    http::Request request;
    const std::string host = headers.find("Host:") == std::string::npos ? "Host: 127.0.0.1:8081\r\n" : "";
    const auto parsed = http::parse_request_head(
        method + " " + path + " HTTP/1.1\r\n" + host + headers + "\r\n", {}, request);
    EXPECT_TRUE(parsed.has_value()) << headers;
    request.body = std::move(body);
    RecordingWriter writer;
    run_task(loop_, front_->handle(request, writer));
    return writer;
  }
  int reload(const std::string& headers, std::string body = "") {
    return call("POST", "/reload", headers, std::move(body)).status;
  }

  std::unique_ptr<observe::Logger> log_;
  observe::MetricRegistry registry_;
  Readiness readiness_;
  std::unique_ptr<HttpFront> front_;
  EventLoop loop_;
  int calls_ = 0;
};

TEST_F(AdminAccessTest, TakesWhatATerminalSends) {
  EXPECT_EQ(reload(""), 200);
  EXPECT_EQ(reload("Content-Type: application/json; charset=utf-8\r\n", "{}"), 200);
  EXPECT_EQ(reload("Host: localhost:8081\r\n"), 200);
  EXPECT_EQ(reload("Host: [::1]:8081\r\n"), 200);
  EXPECT_EQ(call("GET", "/endpoints").status, 200);
  EXPECT_EQ(call("DELETE", "/keys/alice").status, 200);
}

TEST_F(AdminAccessTest, TakesNothingThatAPageOfAnotherSiteSends) {
  for (const char* headers :
       {"Origin: http://evil.example\r\n", "Origin: null\r\n", "Origin: http://127.0.0.1:3000\r\n",
        "Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n",
        "Origin: http://evil.example\r\nContent-Type: application/json\r\n"}) {
    EXPECT_EQ(call("DELETE", "/keys/alice", headers).status, 403) << headers;
    const auto answer = call("POST", "/reload", headers);
    EXPECT_EQ(answer.status, 403) << headers;
    EXPECT_NE(answer.body.find(R"("code":"cross_site")"), std::string::npos) << answer.body;
  }
  EXPECT_EQ(calls_, 0);
  EXPECT_EQ(reload("Origin: http://127.0.0.1:8081\r\nSec-Fetch-Site: same-origin\r\n"), 200);
}

TEST_F(AdminAccessTest, TakesNoForm) {
  for (const char* type : {"application/x-www-form-urlencoded", "multipart/form-data; boundary=b",
                           "text/plain", "text/plain; application/json"}) {
    const std::string header = std::string("Content-Type: ") + type + "\r\n";
    EXPECT_EQ(reload(header, "{}"), 400) << type;
    EXPECT_EQ(reload(header), 400) << type;
  }
  const auto untyped = call("POST", "/reload", "", "{}");
  EXPECT_EQ(untyped.status, 400);
  EXPECT_NE(untyped.body.find("Content-Type: application/json"), std::string::npos) << untyped.body;
  EXPECT_EQ(calls_, 0);
}

TEST_F(AdminAccessTest, ANamePointedHereByAPageIsNotServed) {
  EXPECT_EQ(call("GET", "/endpoints", "Host: evil.example:8081\r\n").status, 403);
  EXPECT_EQ(reload("Host: evil.example:8081\r\nOrigin: http://evil.example:8081\r\n"), 403);
  EXPECT_EQ(reload("Host: 127.0.0.1.evil.example\r\n"), 403);
  EXPECT_EQ(calls_, 0);
  serve({});
  EXPECT_EQ(call("GET", "/endpoints", "Host: gateway-1.internal:8081\r\n").status, 200)
      << "an address that others reach has names";
}

TEST_F(AdminAccessTest, HandsOutNoKeysWhereStrangersCanCall) {
  serve({});
  const auto refused = call("DELETE", "/keys/alice");
  EXPECT_EQ(refused.status, 403);
  EXPECT_NE(refused.body.find("server.admin_token"), std::string::npos);
  EXPECT_EQ(calls_, 0);
  EXPECT_EQ(reload(""), 200) << "which changes nobody's rights";
  serve({.certified = true});
  EXPECT_EQ(call("DELETE", "/keys/alice").status, 200);
  serve({.token = kToken});
  EXPECT_EQ(call("DELETE", "/keys/alice", "Authorization: Bearer " + std::string(kToken) + "\r\n").status,
            200);
}

TEST_F(AdminAccessTest, WantsItsToken) {
  serve({.token = kToken, .local = true});
  const std::string right = "Authorization: Bearer " + std::string(kToken) + "\r\n";
  for (const char* wrong : {"", "Authorization: Bearer \r\n", "Authorization: Bearer correct horsf\r\n",
                            "Authorization: Bearer correct horse \x20x\r\n",
                            "Authorization: correct horse\r\n", "Authorization: Bearer correct\r\n"}) {
    const auto answer = call("GET", "/endpoints", wrong);
    EXPECT_EQ(answer.status, 401) << wrong;
    EXPECT_EQ(answer.headers.at("WWW-Authenticate"), "Bearer");
    EXPECT_EQ(answer.body.find(kToken), std::string::npos);
    EXPECT_EQ(reload(wrong), 401) << wrong;
  }
  EXPECT_EQ(calls_, 0);
  EXPECT_EQ(reload(right), 200);
  EXPECT_EQ(call("GET", "/endpoints", right + "Host: gateway-1.internal\r\n").status, 200)
      << "a page does not know the token";
  EXPECT_EQ(call("GET", "/livez").status, 200) << "probes have none";
  EXPECT_EQ(reload(right + "Origin: http://evil.example\r\n"), 403);
}

}  // namespace
}  // namespace autoglm::admin
