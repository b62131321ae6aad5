#include "cluster/testing/registry_conformance.h"

#include "base/base64.h"
#include "cluster/registries/consul/consul_registry.h"
#include "cluster/registries/dns/dns_registry.h"
#include "cluster/registries/etcd/etcd_registry.h"
#include "cluster/registries/file/file_registry.h"
#include "cluster/testing/dns_double.h"
#include "cluster/testing/fake_registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

namespace autoglm::cluster {
namespace {

using namespace std::chrono_literals;

class FakeSubject final : public RegistrySubject {
 public:
  std::unique_ptr<Registry> make() override {
    auto made = std::make_unique<Known>(*this);
    made->fake.begin_with(state_);
    made_ = made.get();
    return made;
  }
  void list(const Ports& ports) override {
    state_ = FakeRegistry::at_ports(ports);
    if (FakeRegistry* fake = running()) fake->push(*state_);
  }
  void be_ill() override {
    state_.reset();
    if (FakeRegistry* fake = running()) fake->fail("ill");
  }
  void say_garbage() override { be_ill(); }

 private:
  /// A registry that its subject knows for as long as it lives.
  struct Known final : Registry {
    explicit Known(FakeSubject& its) : subject(its) {}
    ~Known() override { subject.made_ = nullptr; }
    Task<void> run(RegistrySink& sink) override { return fake.run(sink); }
    const std::string& name() const override { return fake.name(); }

    FakeSubject& subject;
    FakeRegistry fake;
  };
  FakeRegistry* running() const { return made_ != nullptr && made_->fake.running() ? &made_->fake : nullptr; }

  std::optional<std::vector<Instance>> state_;
  Known* made_ = nullptr;
};

class FileSubject final : public RegistrySubject {
 public:
  FileSubject() {
    std::string pattern = (std::filesystem::temp_directory_path() / "autoglm-registry-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~FileSubject() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Registry> make() override {
    return std::make_unique<FileRegistry>(FileConfig{.path = folder_ / "m.yaml", .interval = 1ms}, pool_);
  }
  void list(const Ports& ports) override {
    std::string targets;
    for (const auto port : ports)
      targets += fmt::format("{}'10.0.0.1:{}'", targets.empty() ? "" : ", ", port);
    write("- targets: [" + targets + "]\n");
  }
  void be_ill() override { std::filesystem::remove(folder_ / "m.yaml"); }
  void say_garbage() override { write("- targets: ["); }

 private:
  void write(const std::string& text) const {
    std::ofstream(folder_ / "next", std::ios::binary) << text;
    std::filesystem::rename(folder_ / "next", folder_ / "m.yaml");
  }

  std::filesystem::path folder_;
  BlockingPool pool_{1, 8};
};

class DnsSubject final : public RegistrySubject {
 public:
  std::unique_ptr<Registry> make() override {
    return std::make_unique<DnsRegistry>(
        DnsConfig{.name = "a.b", .type = DnsType::kSrv, .interval = 1ms, .server = server_.address()},
        names_);
  }
  void list(const Ports& ports) override { server_.list(ports); }
  void be_ill() override { server_.refuse(); }
  void say_garbage() override { server_.say_garbage(); }

 private:
  DnsDouble server_;
  BlockingPool names_{1, 8};
};

class ConsulSubject final : public HttpRegistrySubject {
 public:
  std::unique_ptr<Registry> make() override {
    return ConsulRegistry::create({.connection = {.address = url()}, .service = "llm"}, client(), pool())
        .value();
  }

 private:
  Task<bool> answer_well(ByteStream& to, std::string request) override {
    const std::uint64_t asked = std::stoull(request.substr(request.find("index=") + 6));
    if (asked == version()) co_await changed(asked);
    if (!is_well()) co_return co_await send(to, "no leader", 500);
    std::string body;
    for (const auto port : ports())
      body +=
          fmt::format(R"({}{{"Service":{{"Address":"10.0.0.1","Port":{}}}}})", body.empty() ? "" : ",", port);
    co_return co_await send(to, '[' + body + ']', 200, fmt::format("X-Consul-Index: {}\r\n", version()));
  }
};

class EtcdSubject final : public HttpRegistrySubject {
 public:
  std::unique_ptr<Registry> make() override {
    return EtcdRegistry::create({.connection = {.endpoints = {url()}}, .prefix = "/a/"}, client()).value();
  }

 private:
  static std::string key(std::size_t number) { return to_base64(fmt::format("/a/{}", number)); }
  Task<bool> answer_well(ByteStream& to, std::string request) override {
    if (request.contains("/v3/watch")) co_return co_await watch(to);
    std::string pairs;
    for (std::size_t i = 0; i < ports().size(); ++i)
      pairs += fmt::format(R"({}{{"key":"{}","value":"{}"}})", i == 0 ? "" : ",", key(i), value(ports()[i]));
    co_return co_await send(to,
                            fmt::format(R"({{"header":{{"revision":"{}"}},"kvs":[{}]}})", version(), pairs));
  }
  static std::string value(std::uint16_t port) { return to_base64(fmt::format("10.0.0.1:{}", port)); }

  /// A connection that ends is what an etcd that falls ill looks like.
  Task<bool> watch(ByteStream& to) {
    if (!co_await to.write_all(std::string_view("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")))
      co_return false;
    while (true) {
      const Ports before = ports();
      co_await changed(version());
      if (!is_well()) co_return false;
      std::string events;
      for (std::size_t i = 0; i < std::max(before.size(), ports().size()); ++i) {
        const bool is_there = i < ports().size();
        events += fmt::format(R"({}{{{}"kv":{{"key":"{}"{}}}}})", i == 0 ? "" : ",",
                              is_there ? "" : R"("type":"DELETE",)", key(i),
                              is_there ? fmt::format(R"(,"value":"{}")", value(ports()[i])) : "");
      }
      const std::string line = "{\"result\":{\"events\":[" + events + "]}}\n";
      if (!co_await to.write_all(std::string_view(line))) co_return false;
    }
  }
};

INSTANTIATE_TEST_SUITE_P(All, RegistryConformance,
                         ::testing::Values(registry_called<FakeSubject>("Fake"),
                                           registry_called<FileSubject>("File"),
                                           registry_called<DnsSubject>("Dns"),
                                           registry_called<ConsulSubject>("Consul"),
                                           registry_called<EtcdSubject>("Etcd")),
                         [](const auto& of) { return std::string(of.param.name); });

}  // namespace
}  // namespace autoglm::cluster
