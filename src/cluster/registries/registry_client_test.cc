#include "cluster/registries/registry_client.h"

#include "http/testing/wire_server.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace autoglm::cluster {
namespace {

TEST(RegistryClient, AnAuthorityThatIsReplacedIsReadAgainBehindAFailure) {
  EventLoop loop;
  BlockingPool names(1, 8);
  const std::filesystem::path trusted =
      std::filesystem::temp_directory_path() / ("registry-ca-" + std::to_string(::getpid()));
  run_task(loop, [](BlockingPool& pool, const std::filesystem::path& file) -> Task<void> {
    http::OverTls way;
    const SelfSigned other("other.example");
    std::filesystem::copy_file(other.pair.certificate_file, file);
    const http::WireServer server(way, [](ByteStream& to, std::string) -> Task<bool> {
      co_await to.write_all(std::string_view("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"));
      co_return true;
    });
    http::Client client(pool, nullptr);
    auto registry = RegistryClient::create({.addresses = {way.request("").url.origin()},
                                            .tls = {.ca = file.string(), .server_name = "model.example"}},
                                           client);
    EXPECT_TRUE(registry);
    EXPECT_FALSE(co_await (*registry)->get("/a")) << "nobody vouches for it";
    std::filesystem::copy_file(way.authority_file(), file, std::filesystem::copy_options::overwrite_existing);
    EXPECT_FALSE(co_await (*registry)->get("/a"));
    const auto answer = co_await (*registry)->get("/a");
    EXPECT_TRUE(answer && answer->body == "[]");
  }(names, trusted));
  std::filesystem::remove(trusted);
}

}  // namespace
}  // namespace autoglm::cluster
