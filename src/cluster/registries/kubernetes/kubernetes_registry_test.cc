#include "cluster/registries/kubernetes/kubernetes_registry.h"

#include "cluster/testing/kept_instances.h"
#include "http/testing/scripted_server.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <span>

namespace autoglm::cluster {
namespace {

std::string answer(const std::string& body, int status = 200, const std::string& more = "") {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nConnection: close\r\n" + more +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
/// What a watch brings before it ends, as it should or in the middle.
std::string watch_of(const std::string& events, bool whole = true) {
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", events.size());
  return "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" +
         (events.empty() ? std::string() : size + events + "\r\n") + (whole ? "0\r\n\r\n" : "");
}
std::string slice(const std::string& name, const std::string& addresses, const std::string& version) {
  std::string endpoints;
  for (const char address : addresses)
    endpoints += (endpoints.empty() ? R"({"addresses":["10.0.0.)" : R"(,{"addresses":["10.0.0.)") +
                 (address + std::string(R"("]})"));
  return R"({"metadata":{"name":")" + name + R"(","resourceVersion":")" + version +
         R"("},"addressType":"IPv4","endpoints":[)" + endpoints + R"(],"ports":[{"port":80}]})";
}
std::string list_of(const std::string& slices, const std::string& version, const std::string& more = "") {
  return answer(R"({"metadata":{"resourceVersion":")" + version + "\"" + more + R"(},"items":[)" + slices +
                "]}");
}
std::string event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}";
}
std::string bookmark(const std::string& version) {
  return event("BOOKMARK", R"({"metadata":{"resourceVersion":")" + version + "\"}}");
}
std::string error(int code) {
  return event("ERROR", R"({"message":"too old","code":)" + std::to_string(code) + "}");
}

class KubernetesRegistryTest : public ::testing::Test {
 public:
  struct Outcome {
    std::string seen;
    KeptInstances kept;
  };
  /// What the registry says and asks while a server gives these answers, one a connection, until the last
  /// list is `last`, and so many lists have come.
  Outcome outcome(std::vector<std::string> answers, const std::string& last, std::size_t lists = 1,
                  KubernetesConfig config = {}, KubernetesLimits limits = {}) {
    Outcome result;
    run_task(
        loop_,
        [](KubernetesRegistryTest& test, std::vector<std::string> scripts, std::string wanted,
           std::size_t enough, KubernetesConfig its, KubernetesLimits allowed, Outcome& out) -> Task<void> {
          http::ScriptedServer server(std::move(scripts));
          http::Client client(test.pool_, nullptr);
          its.access.address = server.url("");
          its.space = "default";
          its.service = "llm";
          auto registry = KubernetesRegistry::create(its, {}, client, test.pool_, allowed);
          EXPECT_TRUE(registry);
          co_await out.kept.follow(
              **registry, [](KeptInstances& kept, std::string text, std::size_t count) -> Task<void> {
                EXPECT_TRUE(co_await kept.until([&](const KeptInstances& each) {
                  return each.lists.size() >= count && each.last() == text;
                })) << kept.last();
              }(out.kept, wanted, enough));
          out.seen = server.seen;
        }(*this, std::move(answers), last, lists, std::move(config), limits, result));
    return result;
  }
  static std::size_t count(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++found;
    return found;
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST_F(KubernetesRegistryTest, ListsThenWatchesFromThere) {
  const Outcome saw = outcome(
      {list_of(slice("a", "1", "5"), "7"),
       watch_of(event("ADDED", slice("b", "2", "8")) + event("MODIFIED", slice("a", "13", "9")) + "\n")},
      "10.0.0.1:80 10.0.0.3:80 10.0.0.2:80", 1, {.access = {.token = "secret"}});
  EXPECT_TRUE(saw.kept.errors.empty());
  EXPECT_TRUE(
      saw.seen.starts_with("GET "
                           "/apis/discovery.k8s.io/v1/namespaces/default/"
                           "endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dllm"
                           "&limit=500 HTTP/1.1"))
      << saw.seen;
  EXPECT_TRUE(
      saw.seen.contains("%3Dllm&watch=1&resourceVersion=7&allowWatchBookmarks=true&timeoutSeconds=30"))
      << saw.seen;
  EXPECT_EQ(count(saw.seen, "Authorization: Bearer secret"), 2U) << saw.seen;
}

TEST_F(KubernetesRegistryTest, AWatchThatEndsGoesOnFromItsLastVersion) {
  const Outcome saw = outcome(
      {list_of(slice("a", "1", "5"), "7"), watch_of(bookmark("10")),
       watch_of(event("DELETED", slice("a", "1", "11"))), watch_of(event("ADDED", slice("c", "3", "12")))},
      "10.0.0.3:80");
  EXPECT_TRUE(saw.kept.errors.empty());
  EXPECT_EQ(count(saw.seen, "limit=500"), 1U) << saw.seen;
  EXPECT_EQ(count(saw.seen, "resourceVersion=10&"), 1U) << saw.seen;
  EXPECT_EQ(count(saw.seen, "resourceVersion=11&"), 1U) << saw.seen;
}

TEST_F(KubernetesRegistryTest, AWatchWithoutEvenABookmarkIsOfAnotherHistory) {
  const Outcome saw =
      outcome({list_of(slice("a", "1", "5"), "100"), watch_of(""), list_of(slice("a", "2", "3"), "4")},
              "10.0.0.2:80");
  EXPECT_TRUE(saw.kept.errors.empty());
}

TEST_F(KubernetesRegistryTest, WhatIsTooOldIsListedAgainWithoutAComplaint) {
  const Outcome saw =
      outcome({list_of(slice("a", "1", "5"), "7"), watch_of(error(410)), list_of(slice("a", "2", "8"), "8"),
               answer(R"({"message":"gone","code":410})", 410), list_of(slice("b", "3", "9"), "9")},
              "10.0.0.3:80");
  EXPECT_TRUE(saw.kept.errors.empty()) << saw.kept.errors[0].message;
  EXPECT_EQ(count(saw.seen, "limit=500"), 3U) << saw.seen;
}

TEST_F(KubernetesRegistryTest, AVersionThatGoesBackIsAnotherHistory) {
  const Outcome saw = outcome(
      {list_of(slice("a", "1", "5"), "1007"), watch_of(bookmark("12")), list_of(slice("b", "2", "9"), "12")},
      "10.0.0.2:80");
  EXPECT_EQ(count(saw.seen, "limit=500"), 2U) << saw.seen;
}

TEST_F(KubernetesRegistryTest, PagesAreOneList) {
  const Outcome saw = outcome({list_of(slice("a", "1", "5"), "7", R"(,"continue":"x=/")"),
                               list_of(slice("b", "2", "5"), "7"), watch_of(bookmark("8"))},
                              "10.0.0.1:80 10.0.0.2:80");
  EXPECT_TRUE(saw.seen.contains("&limit=500&continue=x%3D%2F HTTP")) << saw.seen;
}

TEST_F(KubernetesRegistryTest, AListThatExpiresInItsMiddleStartsOver) {
  const Outcome saw =
      outcome({list_of(slice("a", "1", "5"), "7", R"(,"continue":"x")"),
               answer(R"({"message":"expired","code":410})", 410), list_of(slice("b", "2", "5"), "9")},
              "10.0.0.2:80");
  EXPECT_TRUE(saw.kept.errors.empty());
}

TEST_F(KubernetesRegistryTest, APageWithoutAnythingDoesNotGoOn) {
  const Outcome saw =
      outcome({list_of("", "7", R"(,"continue":"x")"), list_of(slice("a", "1", "5"), "7")}, "10.0.0.1:80");
  ASSERT_EQ(saw.kept.errors.size(), 1U);
}

TEST_F(KubernetesRegistryTest, ErrorsAreSaidAndTheListStaysUntilTheNextOne) {
  const std::vector<std::pair<std::string, std::string>> all = {
      {watch_of(event("ADDED", slice("b", "2", "8")), false), "ended its answer before it was complete"},
      {watch_of("<html>"), "it is no JSON"},
      {watch_of(error(500)), "cannot be read: too old"},
      {watch_of(R"({"type":"ADDED","object":{"metadata":{"na)"), "it ends within an event"},
      {watch_of(R"({"type":")" + std::string(std::size_t{17} << 20U, 'a')), "an event has no end"},
      {watch_of(R"({"type":"ODD","object":{}})"), "an event of an unknown type"},
      {answer(R"({"message":"no \"list\"","code":403})", 403),
       R"(answers 403: no "list"; give its service account a role that may)"},
      {answer("busy", 429, "Retry-After: 0\r\n"), "answers 429: busy"}};
  for (const auto& [ill, said] : all) {
    const Outcome saw = outcome(
        {list_of(slice("a", "1", "5"), "7"), ill, list_of(slice("c", "3", "20"), "20")}, "10.0.0.3:80");
    ASSERT_EQ(saw.kept.errors.size(), 1U) << said;
    EXPECT_TRUE(saw.kept.errors[0].message.contains(said)) << saw.kept.errors[0].message;
    for (const auto& list : saw.kept.lists) EXPECT_FALSE(list.empty()) << said;
  }
}

TEST_F(KubernetesRegistryTest, WhatAServerMakesUsKeepHasBounds) {
  const KubernetesLimits limits{.objects = 20, .endpoints = 200, .list_bytes = 40'000, .bytes = 60'000};
  const std::string good = list_of(slice("a", "1", "5"), "7");
  const auto padded = [](int i) {
    return R"({"metadata":{"name":"s)" + std::to_string(i) + R"(","resourceVersion":"8"},"x":")" +
           std::string(15'000, 'x') + "\"}";
  };
  std::string endpoints = R"({"addresses":["1"]})";
  for (int i = 1; i < 21; ++i) endpoints += R"(,{"addresses":["1"]})";
  std::string many_slices, many_bytes, many_endpoints, page;
  for (int i = 0; i < 21; ++i) many_slices += event("ADDED", slice("s" + std::to_string(i), "1", "8"));
  for (int i = 0; i < 5; ++i) many_bytes += event("ADDED", padded(i));
  for (int i = 0; i < 10; ++i) {
    many_endpoints += event("ADDED", R"({"metadata":{"name":"s)" + std::to_string(i) +
                                         R"(","resourceVersion":"8"},"ports":[{"port":80}],"endpoints":[)" +
                                         endpoints + "]}");
  }
  for (int i = 0; i < 11; ++i) page += (page.empty() ? "" : ",") + slice("s" + std::to_string(i), "1", "8");
  const std::string many_objects = list_of(page, "7", R"(,"continue":"x")");
  const std::string large = list_of(padded(1) + "," + padded(2), "7", R"(,"continue":"x")");
  const std::vector<std::pair<std::vector<std::string>, std::string>> all = {
      {{good, watch_of(many_slices)}, "too many EndpointSlices"},
      {{good, watch_of(many_bytes)}, "too many EndpointSlices"},
      {{good, watch_of(many_endpoints)}, "too many endpoints"},
      {{many_objects, many_objects}, "the list has no end"},
      {{large, large}, "the list has no end"}};
  for (const auto& [ill, said] : all) {
    std::vector<std::string> answers = ill;
    for (int i = 0; i < 4; ++i) answers.push_back(list_of(slice("c", "3", "20"), "20"));
    const Outcome saw = outcome(answers, "10.0.0.3:80", 1, {}, limits);
    // The watch may have ended, and the next one found an answer to a list, before what it brought was read.
    EXPECT_TRUE(std::ranges::any_of(saw.kept.errors, [&](const Error& each) {
      return each.message.contains(said);
    })) << said;
  }
}

TEST_F(KubernetesRegistryTest, ASliceThatCannotBeReadIsToldAndTheOthersCount) {
  const Outcome saw =
      outcome({list_of(slice("a", "1", "5"), "7"),
               watch_of(event("ADDED", R"({"metadata":{"name":"b","resourceVersion":"8"},"endpoints":{}})") +
                        event("ADDED", slice("c", "2", "9")))},
              "10.0.0.1:80 10.0.0.2:80");
  EXPECT_TRUE(std::ranges::any_of(saw.kept.errors, [](const Error& each) {
    return each.message.contains("the EndpointSlice b: ") &&
           each.message.contains("its endpoints are no list");
  })) << saw.kept.errors.size();
}

TEST_F(KubernetesRegistryTest, ATokenThatWasReplacedIsReadAgain) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("kubernetes-token-" + std::to_string(::getpid()));
  std::ofstream(path) << "one";
  Outcome saw;
  run_task(
      loop_, [](KubernetesRegistryTest& test, const std::filesystem::path& file, Outcome& out) -> Task<void> {
        http::ScriptedServer server({list_of(slice("a", "1", "5"), "7"), answer("{}", 401), answer("{}", 401),
                                     list_of(slice("a", "2", "8"), "8")});
        http::Client client(test.pool_, nullptr);
        auto registry =
            KubernetesRegistry::create({.space = "default",
                                        .service = "llm",
                                        .access = {.address = server.url(""), .token_file = file.string()}},
                                       {}, client, test.pool_);
        co_await out.kept.follow(
            **registry, [](KeptInstances& kept, std::filesystem::path its) -> Task<void> {
              EXPECT_TRUE(
                  co_await kept.until([](const KeptInstances& each) { return !each.errors.empty(); }));
              std::ofstream(its) << "two\n";
              EXPECT_TRUE(co_await kept.until(
                  [](const KeptInstances& each) { return each.last() == "10.0.0.2:80"; }));
            }(out.kept, file));
        out.seen = server.seen;
      }(*this, path, saw));
  std::filesystem::remove(path);
  EXPECT_TRUE(saw.kept.errors[0].message.contains("see its token")) << saw.kept.errors[0].message;
  EXPECT_GE(count(saw.seen, "Bearer one\r\n"), 2U) << saw.seen;
  EXPECT_GE(count(saw.seen, "Bearer two\r\n"), 1U) << saw.seen;
}

TEST_F(KubernetesRegistryTest, TheTokenIsReadForEachRequestAndAgainWhenItIsRefused) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("kubernetes-token-" + std::to_string(::getpid()));
  std::ofstream(path) << "token-1";
  Outcome saw;
  run_task(loop_, [](KubernetesRegistryTest& test, std::filesystem::path file, Outcome& out) -> Task<void> {
    auto listener = TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value();
    http::Client client(test.pool_, nullptr);
    auto registry = KubernetesRegistry::create(
        {.space = "default",
         .service = "llm",
         .access = {.address = "http://127.0.0.1:" + std::to_string(listener->port()),
                    .token_file = file.string()}},
        {}, client, test.pool_);
    co_await out.kept.follow(
        **registry, [](TcpListener& its, std::filesystem::path token, Outcome& kept) -> Task<void> {
          int tokens = 1;
          for (const std::string& script :
               {answer("{}", 401), list_of(slice("a", "1", "5"), "7"), watch_of(bookmark("8"))}) {
            auto stream = (co_await its.accept()).value();
            std::array<char, 4096> buffer;
            const auto count = co_await stream->read_some(std::span<char>(buffer));
            kept.seen.append(buffer.data(), count.value_or(0));
            std::ofstream(token) << "token-" << ++tokens;
            co_await stream->write_all(std::string_view(script));
          }
          EXPECT_TRUE(co_await kept.kept.until(
              [](const KeptInstances& each) { return each.last() == "10.0.0.1:80"; }));
        }(*listener, file, out));
  }(*this, path, saw));
  std::filesystem::remove(path);
  EXPECT_TRUE(saw.kept.errors.empty()) << saw.kept.errors[0].message;
  for (const char* each : {"Bearer token-1\r\n", "Bearer token-2\r\n", "Bearer token-3\r\n"})
    EXPECT_EQ(count(saw.seen, each), 1U) << each << saw.seen;
}

TEST(KubernetesRegistry, VersionsGoBackOnlyWhenBothAreNumbers) {
  EXPECT_TRUE(goes_back("10", "9"));
  EXPECT_TRUE(goes_back("10", "09") == false) << "no number as Kubernetes writes them";
  EXPECT_FALSE(goes_back("9", "10"));
  EXPECT_FALSE(goes_back("9", "9"));
  EXPECT_FALSE(goes_back("b", "a"));
  EXPECT_FALSE(goes_back("", "1"));
}

TEST(KubernetesRegistry, WithoutAPodItAsksForAnAddress) {
  BlockingPool pool(1, 8);
  EventLoop loop;
  http::Client client(pool, nullptr);
  const auto none = KubernetesRegistry::create({.space = "a", .service = "b"}, {}, client, pool);
  ASSERT_FALSE(none);
  EXPECT_TRUE(none.error().message.contains("set `address`")) << none.error().message;
}

}  // namespace
}  // namespace autoglm::cluster
