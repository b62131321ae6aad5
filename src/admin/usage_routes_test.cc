#include "admin/usage_routes.h"

#include "gateway/front/http/front.h"
#include "gateway/front/http/testing/recording_writer.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::admin {
namespace {

using namespace std::chrono;
using gateway::Day;
using gateway::RecordingWriter;

constexpr Day kToday = 2026y / November / 30;

class UsageRoutesTest : public ::testing::Test {
 protected:
  UsageRoutesTest() {
    add("mobile", "acme", "qwen-72b", kToday - days(1));
    add("mobile", "acme", "qwen-72b", kToday);
    add("a \"b\", c", "acme", "smollm2", kToday);
  }
  void add(const std::string& key, const std::string& tenant, const std::string& model, Day day) {
    totals_.add({.time = day,
                 .key = key,
                 .tenant = tenant,
                 .model = model,
                 .prompt_tokens = 100,
                 .cached_tokens = 20,
                 .completion_tokens = 30,
                 .cost = 30'600,
                 .outcome = gateway::UsageOutcome::kComplete});
  }
  RecordingWriter get(const std::string& target, const std::string& headers = "") {
    http::Request request;
    const auto parsed = http::parse_request_head(
        "GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1:8081\r\n" + headers + "\r\n", {}, request);
    EXPECT_TRUE(parsed.has_value()) << target;
    RecordingWriter writer;
    run_task(loop_, front_.handle(request, writer));
    return writer;
  }

  std::unique_ptr<observe::Logger> log_ = observe::Logger::create({.file = "/dev/null"}).value();
  observe::MetricRegistry registry_;
  gateway::Readiness readiness_;
  gateway::UsageTotals totals_;
  gateway::HttpFront front_{usage_routes(totals_, [] { return std::string("EUR"); }), readiness_, registry_,
                            *log_};
  EventLoop loop_;
};

TEST_F(UsageRoutesTest, ShowsDaysAsJson) {
  const auto answer = get("/usage");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.type, "application/json");
  EXPECT_EQ(answer.body,
            R"({"currency":"EUR","usage":[{"day":"2026-11-29","requests":1,"cut":0,"prompt_tokens":100,)"
            R"("cached_tokens":20,"completion_tokens":30,"cost":0.0000306},{"day":"2026-11-30","requests":2,)"
            R"("cut":0,"prompt_tokens":200,"cached_tokens":40,"completion_tokens":60,"cost":0.0000612}]})"
            "\n");
  EXPECT_EQ(get("/usage?from=2027-01-01").body, "{\"currency\":\"EUR\",\"usage\":[]}\n");
}

TEST_F(UsageRoutesTest, ShowsWhatIsAskedForAsCsv) {
  EXPECT_EQ(get("/usage?by=key%2Cmodel&from=2026-11-30&to=2026-11-30&format=csv").body,
            "key,model,requests,cut,prompt_tokens,cached_tokens,completion_tokens,cost,currency\r\n"
            "\"a \"\"b\"\", c\",smollm2,1,0,100,20,30,0.0000306,EUR\r\n"
            "mobile,qwen-72b,1,0,100,20,30,0.0000306,EUR\r\n");
  const auto all = get("/usage?by=", "Accept: text/csv; q=0.9, */*\r\n");
  EXPECT_EQ(all.type, "text/csv; charset=utf-8");
  EXPECT_EQ(all.body,
            "requests,cut,prompt_tokens,cached_tokens,completion_tokens,cost,currency\r\n"
            "3,0,300,60,90,0.0000918,EUR\r\n");
  EXPECT_EQ(get("/usage?format=json", "Accept: text/csv\r\n").type, "application/json");
  EXPECT_EQ(get("/usage", "Accept: application/json, text/csv\r\n").type, "application/json");
  EXPECT_TRUE(get("/usage?by=tenant,day&format=csv").body.starts_with("day,tenant,"));
}

TEST_F(UsageRoutesTest, SaysWhatIsWrong) {
  const auto refused = [&](const std::string& query, const std::string& why) {
    const auto answer = get("/usage?" + query);
    EXPECT_EQ(answer.status, 400) << query;
    EXPECT_NE(answer.body.find(why), std::string::npos) << answer.body;
  };
  refused("by=day,team", "names out of day, hour, key, tenant and model");
  refused("by=day,,key", "names out of");
  refused("from=2026-11-31", "from is");
  refused("to=yesterday", "a day of UTC such as 2026-11-30");
  refused("from=2026-11-30&to=2026-11-29", "no later than `to`");
  refused("format=xml", "json or csv");
  refused("since=2026-11-30", "one of by, from, to, key, tenant, model and format");
  refused("by=day&by=key", "there once");
  refused("by=%zz", "percent-encoded");
  EXPECT_EQ(get("/usage?").status, 200);
}

TEST_F(UsageRoutesTest, LeavesOutWhatIsNotAskedFor) {
  EXPECT_EQ(get("/usage?by=key&key=mobile&from=2026-11-30").body.find("a \\\"b"), std::string::npos);
  EXPECT_NE(get("/usage?by=model&model=smollm2").body.find("\"requests\":1"), std::string::npos);
  EXPECT_EQ(get("/usage?by=day&tenant=nobody").body, "{\"currency\":\"EUR\",\"usage\":[]}\n");
  EXPECT_EQ(get("/usage?by=hour").status, 400) << "hours are the index's";
}

}  // namespace
}  // namespace autoglm::admin
