#include "gateway/front/http/access_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

/// The lines that `write` writes, without their time.
template <class Write>
std::vector<std::string> lines_of(observe::LogFormat format, const Write& write) {
  const std::string file =
      (std::filesystem::temp_directory_path() / ("access-log-test-" + std::to_string(::getpid()))).string();
  {
    const auto logger = observe::Logger::create({.format = format, .file = file}).value();
    write(AccessLog(*logger, observe::LogLevel::kInfo));
  }
  std::ifstream in(file);
  std::vector<std::string> lines;
  const std::string_view time = format == observe::LogFormat::kText
                                    ? "11-29 14:03:07 "
                                    : R"({"timestamp":"2000-01-01T00:00:00.000000Z",)";
  for (std::string line; std::getline(in, line);) lines.push_back(line.substr(time.size()));
  std::filesystem::remove(file);
  return lines;
}

/// A chat's record over texts that it refers to.
struct Chat {
  std::string path = "/v1/chat/completions";
  std::string peer = "10.0.0.9:40312";
  RequestRecord record{{.id = "abc",
                        .span = {.trace_id = {0x0a, 0xf7}},
                        .caller = std::make_shared<const Caller>(Caller{.key = "alice", .tenant = "a"}),
                        .status = 200,
                        .complete = true,
                        .model = "m",
                        .endpoint = "10.0.0.11:8000",
                        .attempts = 2,
                        .error = {},
                        .usage = {.prompt_tokens = 27, .completion_tokens = 50},
                        .first_token = 12ms},
                       "POST",
                       path,
                       "HTTP/1.1",
                       peer,
                       "spiffe://example/a",
                       {},
                       345};
};

TEST(AccessLog, SaysEveryFactThoughTheRequestIsOver) {
  const auto lines = lines_of(observe::LogFormat::kJson, [](const AccessLog& log) {
    auto chat = std::make_unique<Chat>();
    log.write(chat->record, 1240ms);
    chat->path.assign(chat->path.size(), '#');
    chat->peer.assign(chat->peer.size(), '#');
    chat->record.caller.reset();
    chat->record.error = "a \"word\" to the client";
    chat->record.path = "/";
    log.write(chat->record, 1ms);
    chat->record.error.assign(chat->record.error.size(), '#');
  });
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(
      lines[0],
      R"("level":"info","service_name":"open-autoglm","message":"request",)"
      R"("trace_id":"0af70000000000000000000000000000","request_id":"abc","method":"POST",)"
      R"("path":"/v1/chat/completions","protocol":"HTTP/1.1","status":200,"duration_ms":1240,)"
      R"("first_token_ms":12,"bytes":345,"peer":"10.0.0.9:40312",)"
      R"("client_identity":"spiffe://example/a","key":"alice","tenant":"a","model":"m",)"
      R"("endpoint":"10.0.0.11:8000","attempts":2,"prompt_tokens":27,"completion_tokens":50,"error":""})");
  EXPECT_TRUE(lines[1].ends_with(R"("error":"a \"word\" to the client"})")) << lines[1];
}

TEST(AccessLog, IsShortForPeople) {
  const auto lines =
      lines_of(observe::LogFormat::kText, [](const AccessLog& log) { log.write(Chat().record, 1240ms); });
  EXPECT_EQ(lines, (std::vector<std::string>{"POST /v1/chat/completions 200 1240 ms 27+50 tokens m at "
                                             "10.0.0.11:8000 (2 attempts)"}));
}

TEST(AccessLog, ShowsAClientThatLeft) {
  Chat chat;
  chat.record.complete = false;
  EXPECT_EQ(chat.record.shown_status(), 499);
  chat.record.error = "too slow";
  EXPECT_EQ(chat.record.shown_status(), 200);
  chat.record.error.clear();
  chat.record.status = 0;
  EXPECT_EQ(chat.record.shown_status(), 499);
}

TEST(AccessLog, SpendsNoLineOnProbes) {
  const auto lines = lines_of(observe::LogFormat::kText, [](const AccessLog& log) {
    Chat probe;
    probe.record.model.clear();
    log.write(probe.record, 1ms);
    probe.record.status = 503;
    log.write(probe.record, 1ms);
  });
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find(" 503 "), std::string::npos) << lines[0];
}

}  // namespace
}  // namespace autoglm::gateway
