#include "app/announcement.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace autoglm::app {
namespace {

using gateway::ServerKind;
using State = EndpointStatus::State;

const Listening kLocal{.api = {"127.0.0.1", 8080}, .admin = {"127.0.0.1", 8081}};
const Listening kOpen{.api = {"0.0.0.0", 8080}, .admin = {"127.0.0.1", 8081}};
const Paint kPlain(false);

ListenerTlsConfig tls(std::string client_ca = "", std::optional<ClientAuth> auth = std::nullopt) {
  return {.certificates = {{"c.pem", "k.pem"}}, .client_ca = std::move(client_ca), .client_auth = auth};
}

TEST(Exposure, IsNothingOnLoopback) {
  EXPECT_EQ(exposure(kLocal, {}), "");
  EXPECT_EQ(exposure({.api = {"localhost", 1}, .admin = {"::1", 2}}, {}), "");
}

TEST(Exposure, NamesWhatIsOpen) {
  EXPECT_EQ(exposure(kOpen, {}),
            "0.0.0.0:8080 is open to whoever reaches this machine: no client keys, no TLS");
  EXPECT_EQ(exposure({.api = {"10.0.0.1", 80}, .admin = kLocal.admin}, {}),
            "10.0.0.1:80 is open to whoever reaches it: no client keys, no TLS");
  EXPECT_EQ(exposure({.api = {"::", 80}, .admin = kLocal.admin}, {}),
            "[::]:80 is open to whoever reaches this machine: no client keys, no TLS");
}

TEST(Exposure, TlsAndCertificatesClose) {
  ServerConfig config;
  config.tls = tls();
  EXPECT_EQ(exposure(kOpen, config), "0.0.0.0:8080 is open to whoever reaches this machine: no client keys");
  config.tls = tls("ca.pem", ClientAuth::kOptional);
  EXPECT_EQ(exposure(kOpen, config), "0.0.0.0:8080 is open to whoever reaches this machine: no client keys");
  config.tls = tls("ca.pem");
  EXPECT_EQ(exposure(kOpen, config), "");
}

TEST(Exposure, KeysCloseAsCertificatesDo) {
  Listening listening = kOpen;
  listening.asks_for_keys = true;
  EXPECT_EQ(exposure(listening, {}), "0.0.0.0:8080 is open to whoever reaches this machine: no TLS");
  ServerConfig config;
  config.tls = tls();
  EXPECT_EQ(exposure(listening, config), "");
}

TEST(Exposure, TheAdminAddressIsWorse) {
  const Listening listening{.api = {"127.0.0.1", 8080}, .admin = {"0.0.0.0", 8081}};
  ServerConfig config;
  EXPECT_EQ(exposure(listening, config), "the admin address 0.0.0.0:8081 is open: no token, no TLS");
  config.admin_tls = tls();
  EXPECT_EQ(exposure(listening, config), "the admin address 0.0.0.0:8081 is open: no token");
  config.admin_tls = tls("ca.pem");
  EXPECT_EQ(exposure(listening, config), "");
  config.admin_tls.reset();
  config.admin_token = "a token";
  EXPECT_EQ(exposure(listening, config), "the admin address 0.0.0.0:8081 is open: no TLS");
  config.admin_tls = tls();
  EXPECT_EQ(exposure(listening, config), "");
}

TEST(Exposure, IsOneLineForBoth) {
  EXPECT_EQ(exposure({.api = {"0.0.0.0", 8080}, .admin = {"10.0.0.1", 8081}}, {}),
            "0.0.0.0:8080 is open to whoever reaches this machine: no client keys, no TLS; "
            "the admin address 10.0.0.1:8081 is open: no token, no TLS");
}

TEST(Listening, IsOneLineAndOneOfWarning) {
  const std::string text = listening_text(kOpen, {}, kPlain);
  EXPECT_NE(
      text.find(
          " listening on http://127.0.0.1:8080 (admin on http://127.0.0.1:8081)\nwarning: 0.0.0.0:8080 "),
      std::string::npos)
      << text;
  EXPECT_EQ(std::ranges::count(text, '\n'), 2);
  EXPECT_EQ(std::ranges::count(listening_text(kLocal, {}, kPlain), '\n'), 1);
}

AnnouncedModel engine(std::string name = "smollm2") {
  return {.card = {.name = std::move(name), .context_length = 8192, .has_chat_template = true},
          .status = {.state = State::kReady, .progress = 1}};
}

AnnouncedModel pool(const std::vector<ServerKind>& kinds) {
  AnnouncedModel model{.card = {.name = "glm", .has_chat_template = true},
                       .status = {.state = State::kReady, .progress = 1},
                       .balance = "least_load"};
  for (const ServerKind kind : kinds) {
    model.endpoints.push_back({.name = fmt::format("10.0.0.{}:8000", model.endpoints.size() + 1),
                               .kind = kind,
                               .check = Result<void>()});
  }
  return model;
}

TEST(Resumption, IsAsExactAsTheServersCan) {
  using enum ServerKind;
  EXPECT_EQ(resumption(pool({kOurs, kOurs})), "streams that break are resumed exactly");
  EXPECT_EQ(resumption(pool({kOurs, kOurs, kOther})),
            "streams that break are resumed exactly by the 2 of ours, by their text elsewhere");
  EXPECT_EQ(resumption(pool({kContinuesChats, kContinuesChats})),
            "streams that break are resumed by their text");
  EXPECT_EQ(resumption(pool({kOurs, kContinuesChats})), "streams that break are resumed by their text");
  EXPECT_EQ(resumption(pool({kOther, kOther})),
            "completions that break are resumed by their text, chats are not");
  EXPECT_EQ(resumption(pool({kOurs})), "a stream that breaks cannot be resumed: there is no other endpoint");
  AnnouncedModel unwilling = pool({kOther, kContinuesChats});
  unwilling.continue_text = false;
  EXPECT_EQ(resumption(unwilling), "streams that break are not resumed (continue_text is off)");
}

TEST(Ready, ShowsAnEngineAndACall) {
  const std::string text = ready_text("http://127.0.0.1:8080", {engine()}, kPlain);
  EXPECT_TRUE(text.starts_with(
      "\nready: smollm2\n\n  smollm2  in this process, 8192 tokens of context\n    streams that break "))
      << text;
  EXPECT_NE(text.find("\n  curl http://127.0.0.1:8080/v1/chat/completions -H"), std::string::npos) << text;
  EXPECT_EQ(text.find("\"model\""), std::string::npos) << "the first is what one gets without asking";
  EXPECT_NE(text.find("open-autoglm chat\n"), std::string::npos) << text;
  EXPECT_NE(text.find("docs/README.md"), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(ready_text("http://127.0.0.1:9000", {engine()}, kPlain).find("chat --url http://127.0.0.1:9000"),
            std::string::npos);
}

TEST(Ready, ShowsEachEndpointAndWhetherItAnswered) {
  AnnouncedModel model = pool({ServerKind::kOther, ServerKind::kUnknown, ServerKind::kUnknown});
  model.endpoints[1].check = fail(ErrorCode::kUnavailable, "connection refused");
  model.endpoints[2].check.reset();
  const std::string text = ready_text("http://h", {model}, kPlain);
  EXPECT_NE(text.find("  glm  1 of 3 endpoints answered, least_load\n"), std::string::npos) << text;
  EXPECT_NE(text.find("    10.0.0.1:8000  answered\n"), std::string::npos) << text;
  EXPECT_NE(text.find("    10.0.0.2:8000  did not answer: connection refused\n"), std::string::npos) << text;
  EXPECT_NE(text.find("    10.0.0.3:8000  no answer yet\n    completions that break"), std::string::npos)
      << text;
}

TEST(Ready, ShowsAFewOfMany) {
  const std::string text =
      ready_text("http://h", {pool(std::vector<ServerKind>(1000, ServerKind::kOurs))}, kPlain);
  EXPECT_NE(text.find("    and 992 more"), std::string::npos) << text;
  EXPECT_LT(std::ranges::count(text, '\n'), 24);
}

TEST(Ready, CallsAModelThatIsReady) {
  AnnouncedModel broken = engine("broken");
  broken.status = {.state = State::kFailed, .detail = "cut off"};
  const std::string text = ready_text("http://h", {broken, engine("whole")}, kPlain);
  EXPECT_TRUE(text.starts_with("\nready: whole\n")) << text;
  EXPECT_NE(text.find("  broken  failed: cut off\n"), std::string::npos) << text;
  EXPECT_NE(text.find("-d '{\"model\": \"whole\",\n"), std::string::npos) << text;
}

TEST(Ready, SaysWhatToDoWithoutAModel) {
  EXPECT_EQ(ready_text("http://h", {}, kPlain),
            "ready, without a model; name one with MODEL_NAME or --model\n");
}

}  // namespace
}  // namespace autoglm::app
