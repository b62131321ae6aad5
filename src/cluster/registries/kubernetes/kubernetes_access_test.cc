#include "cluster/registries/kubernetes/kubernetes_access.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace autoglm::cluster {
namespace {

class KubernetesAccessTest : public ::testing::Test {
 public:
  KubernetesAccessTest() { std::filesystem::create_directories(folder_); }
  ~KubernetesAccessTest() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }

  const std::string folder_ =
      (std::filesystem::temp_directory_path() / ("kubernetes-access-" + std::to_string(::getpid()))).string();
};

TEST_F(KubernetesAccessTest, APodsIsItsServiceAccounts) {
  const auto access = with_pod_defaults({}, {.host = "10.0.0.1", .port = "443", .folder = "/f"});
  ASSERT_TRUE(access);
  EXPECT_EQ(access->address, "https://10.0.0.1:443");
  EXPECT_EQ(access->token_file, "/f/token");
  EXPECT_EQ(access->tls.ca, "/f/ca.crt");
  EXPECT_EQ(with_pod_defaults({}, {.host = "fd00::1", .port = "6443"})->address, "https://[fd00::1]:6443");
  EXPECT_EQ(with_pod_defaults({.tls = {.ca = "/ours"}}, {.host = "a", .port = "1"})->tls.ca, "/ours");
  for (const PodEnvironment& none : {PodEnvironment{}, {.host = "a"}, {.port = "1"}}) {
    const auto refused = with_pod_defaults({}, none);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().message.contains("set `address`")) << refused.error().message;
  }
}

TEST_F(KubernetesAccessTest, AnAddressThatIsConfiguredGetsNoPodsToken) {
  const auto access = with_pod_defaults({.address = "http://a:1"}, {.host = "10.0.0.1", .port = "443"});
  ASSERT_TRUE(access);
  EXPECT_EQ(*access, (KubernetesAccess{.address = "http://a:1"}));
}

TEST_F(KubernetesAccessTest, ANamespaceIsConfiguredOrThePods) {
  EXPECT_EQ(kubernetes_namespace("here", {.folder = folder_}).value(), "here");
  EXPECT_TRUE(kubernetes_namespace("", {.folder = folder_}).error().message.contains("set `namespace`"));
  write("namespace", "there\n");
  EXPECT_EQ(kubernetes_namespace("", {.folder = folder_}).value(), "there");
  write("namespace", "no/where");
  EXPECT_FALSE(kubernetes_namespace("", {.folder = folder_}));
}

TEST_F(KubernetesAccessTest, SmallFilesAreReadWithoutTheirEnds) {
  EXPECT_EQ(read_small_file(write("token", " \n ey.x \n\n")).value(), "ey.x");
  EXPECT_EQ(read_small_file(write("empty", "\n")).value(), "");
  EXPECT_FALSE(read_small_file(write("large", std::string(std::size_t{1} << 20U, 'x'))));
  EXPECT_FALSE(read_small_file(folder_ + "/none"));
  EXPECT_FALSE(read_small_file(folder_)) << "a folder";
  const std::string pipe = folder_ + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_FALSE(read_small_file(pipe)) << "nobody writes: it would wait for ever";
}

TEST_F(KubernetesAccessTest, NamesAreNotPaths) {
  for (const char* good : {"llm", "a.b-c", "7"}) EXPECT_EQ(why_no_kubernetes_name(good), "") << good;
  for (const char* wrong : {"", "a/b", "A", "a?b", "a b", "a%"})
    EXPECT_NE(why_no_kubernetes_name(wrong), "") << wrong;
  EXPECT_NE(why_no_kubernetes_name(std::string(254, 'a')), "");
}

}  // namespace
}  // namespace autoglm::cluster
