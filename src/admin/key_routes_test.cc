#include "admin/key_routes.h"

#include "gateway/front/http/front.h"
#include "gateway/front/http/testing/recording_writer.h"
#include "runtime/testing/run_task.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace autoglm::admin {
namespace {

using gateway::LiveKeyStore;
using gateway::RecordingWriter;
using ::testing::HasSubstr;
using ::testing::Not;

class KeyRoutesTest : public ::testing::Test {
 protected:
  KeyRoutesTest() : folder_(testing::TempDir() + "key-routes-XXXXXX") {
    if (::mkdtemp(folder_.data()) == nullptr) folder_.clear();
    store_ = LiveKeyStore::open({.path = folder_ + "/keys.db"}, registry_, *log_).value();
    serve(store_.get());
  }
  ~KeyRoutesTest() override { std::filesystem::remove_all(folder_); }

  void serve(LiveKeyStore* store) {
    KeyDesk desk{.store = store,
                 .others = [this] { return std::vector<KeyDesk::Source>{{"config", &configured_}}; },
                 .check = [this](const gateway::KeyConfig& wanted) -> Result<void> {
                   if (wanted.name == configured_.front().name)
                     return fail(gateway::key_exists(wanted.name, "the configuration"));
                   if (!wanted.limits.empty()) return fail(invalid_field("limits", "no such limit"));
                   return {};
                 }};
    front_ = std::make_unique<gateway::HttpFront>(key_routes(std::move(desk)), readiness_, registry_, *log_);
  }
  RecordingWriter call(const std::string& method, const std::string& target, std::string body = "") {
    http::Request request;
    const auto parsed = http::parse_request_head(
        method + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1:8081\r\n\r\n", {}, request);
    EXPECT_TRUE(parsed.has_value()) << target;
    request.body = std::move(body);
    RecordingWriter writer;
    run_task(loop_, front_->handle(request, writer));
    return writer;
  }
  static std::string key_of(const RecordingWriter& answer) {
    const std::size_t at = answer.body.find(R"({"key":"sk-)");
    return at == std::string::npos ? "" : answer.body.substr(at + 8, 47);
  }
  bool is_good(const std::string& key) const {
    return gateway::KeyRing({store_->contents()->layer}, true)
               .find(key, std::chrono::system_clock::now())
               .caller != nullptr;
  }

  std::string folder_;
  std::unique_ptr<observe::Logger> log_ = observe::Logger::create({.file = "/dev/null"}).value();
  observe::MetricRegistry registry_;
  gateway::Readiness readiness_;
  EventLoop loop_;
  std::vector<gateway::KeyConfig> configured_ = {{.name = "config/ured", .key = "sk-configured-0123456789"}};
  std::unique_ptr<LiveKeyStore> store_;
  std::unique_ptr<gateway::HttpFront> front_;
};

TEST_F(KeyRoutesTest, MakesAKeyAndShowsItOnce) {
  const auto made = call("POST", "/keys", R"({"name":"alice","labels":{"team":"t"},"expires":"1h"})");
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(made.headers.at("Cache-Control"), "no-store");
  const std::string key = key_of(made);
  EXPECT_EQ(key.size(), 47U) << made.body;
  EXPECT_TRUE(is_good(key));
  for (const char* path : {"/keys", "/keys/alice"}) {
    const auto shown = call("GET", path);
    EXPECT_EQ(shown.status, 200);
    EXPECT_THAT(shown.body, HasSubstr(R"("name":"alice")"));
    EXPECT_THAT(shown.body, HasSubstr(R"("labels":{"team":"t"})"));
    EXPECT_THAT(shown.body, HasSubstr("\"tail\":\"" + key.substr(43) + "\""));
    EXPECT_THAT(shown.body, Not(HasSubstr(key.substr(3, 20))));
  }
}

TEST_F(KeyRoutesTest, ShowsTheKeysOfFilesWithoutTheirText) {
  const auto shown = call("GET", "/keys/config%2Fured");
  EXPECT_EQ(shown.status, 200);
  EXPECT_THAT(shown.body, HasSubstr(R"("source":"config")"));
  EXPECT_THAT(shown.body, Not(HasSubstr("sk-")));
  EXPECT_THAT(call("GET", "/keys").body, Not(HasSubstr("sk-")));
}

TEST_F(KeyRoutesTest, ANameIsTakenOnce) {
  EXPECT_EQ(call("POST", "/keys", R"({"name":"alice"})").status, 201);
  const auto again = call("POST", "/keys", R"({"name":"alice"})");
  EXPECT_EQ(again.status, 409);
  EXPECT_THAT(again.body, HasSubstr(R"("code":"key_exists")"));
  configured_.front().name = "bob";
  EXPECT_EQ(call("POST", "/keys", R"({"name":"bob"})").status, 409);
}

TEST_F(KeyRoutesTest, RefusesWhatTheConfigurationHasNot) {
  const auto refused = call("POST", "/keys", R"({"name":"alice","limits":["x"]})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr(R"("param":"limits")"));
  EXPECT_EQ(call("POST", "/keys", R"({"name":"alice","expire":"1h"})").status, 400);
  EXPECT_EQ(call("POST", "/keys", "").status, 400);
  EXPECT_TRUE(store_->contents()->keys.empty());
}

TEST_F(KeyRoutesTest, Revokes) {
  const std::string key = key_of(call("POST", "/keys", R"({"name":"alice"})"));
  const auto revoked = call("DELETE", "/keys/alice");
  EXPECT_EQ(revoked.status, 200);
  EXPECT_THAT(revoked.body, HasSubstr(R"("state":"revoked")"));
  EXPECT_FALSE(is_good(key));
  EXPECT_EQ(call("DELETE", "/keys/alice").status, 200) << "it has ended, which is what was asked for";
  EXPECT_EQ(call("DELETE", "/keys/nobody").status, 404);
  const auto elsewhere = call("DELETE", "/keys/config%2Fured");
  EXPECT_EQ(elsewhere.status, 409);
  EXPECT_THAT(elsewhere.body, HasSubstr(R"("code":"key_configured")"));
  EXPECT_EQ(call("DELETE", "/keys/%zz").status, 400);
}

TEST_F(KeyRoutesTest, Rotates) {
  const std::string first = key_of(call("POST", "/keys", R"({"name":"alice"})"));
  const std::string second = key_of(call("POST", "/keys/alice/rotate", R"({"grace":"1h"})"));
  EXPECT_TRUE(is_good(first));
  EXPECT_TRUE(is_good(second));
  const std::string third = key_of(call("POST", "/keys/alice/rotate"));
  EXPECT_FALSE(is_good(first));
  EXPECT_FALSE(is_good(second));
  EXPECT_TRUE(is_good(third));
  EXPECT_EQ(call("POST", "/keys/alice/rotate", R"({"grace":"x"})").status, 400);
  EXPECT_TRUE(is_good(third));
  EXPECT_EQ(call("POST", "/keys/nobody/rotate").status, 404);
  EXPECT_EQ(call("POST", "/keys/config%2Fured/rotate").status, 409);
  call("DELETE", "/keys/alice");
  EXPECT_EQ(call("POST", "/keys/alice/rotate").status, 409);
}

TEST_F(KeyRoutesTest, AStoredKeyWhoseNameAFileHasIsNotSaidToChange) {
  const std::string key = key_of(call("POST", "/keys", R"({"name":"alice"})"));
  configured_.front().name = "alice";
  for (const auto& [method, path] :
       {std::pair("DELETE", "/keys/alice"), std::pair("POST", "/keys/alice/rotate")}) {
    const auto refused = call(method, path);
    EXPECT_EQ(refused.status, 409) << path;
    EXPECT_THAT(refused.body, HasSubstr(R"("code":"key_configured")"));
  }
  EXPECT_TRUE(is_good(key)) << "of the store";
}

TEST_F(KeyRoutesTest, WithoutAStoreNothingIsMade) {
  serve(nullptr);
  for (const auto& [method, path] : {std::pair("POST", "/keys"), std::pair("DELETE", "/keys/alice"),
                                     std::pair("POST", "/keys/alice/rotate")}) {
    const auto refused = call(method, path, method == std::string("DELETE") ? "" : R"({"name":"alice"})");
    EXPECT_TRUE(refused.status == 404 || refused.status == 400) << path << refused.status;
  }
  EXPECT_THAT(call("POST", "/keys", R"({"name":"alice"})").body, HasSubstr("key_store.path"));
  EXPECT_EQ(call("GET", "/keys").status, 200);
}

TEST_F(KeyRoutesTest, SaysWhatAPathTakes) {
  const auto refused = call("PUT", "/keys/alice");
  EXPECT_EQ(refused.status, 405);
  EXPECT_EQ(refused.headers.at("Allow"), "GET, DELETE");
  EXPECT_EQ(call("GET", "/keys/alice/rotate").status, 405);
}

}  // namespace
}  // namespace autoglm::admin
