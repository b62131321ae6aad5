#include "app/keys/key_agent.h"

#include "gateway/admission/keys/key_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace autoglm::app {

namespace {

class RemoteKeyAgent final : public KeyAgent {
 public:
  explicit RemoteKeyAgent(AdminClient client) : client_(std::move(client)) {}

  Result<std::string> create(const std::string& body) override { return client_.call("POST", "/keys", body); }
  Result<std::string> list() override { return client_.call("GET", "/keys"); }
  Result<std::string> show(const std::string& name) override { return client_.call("GET", path_of(name)); }
  Result<std::string> revoke(const std::string& name) override {
    return client_.call("DELETE", path_of(name));
  }
  Result<std::string> rotate(const std::string& name, const std::string& body) override {
    return client_.call("POST", path_of(name) + "/rotate", body);
  }

 private:
  static std::string path_of(const std::string& name) {
    std::string path = "/keys/";
    for (const char c : name) {
      const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         c == '-' || c == '_' || c == '.';
      if (plain) {
        path += c;
      } else {
        path += fmt::format("%{:02X}", static_cast<unsigned char>(c));
      }
    }
    return path;
  }

  AdminClient client_;
};

class FileKeyAgent final : public KeyAgent {
 public:
  explicit FileKeyAgent(gateway::KeyStore store) : store_(std::move(store)) {}

  Result<std::string> create(const std::string& body) override {
    const auto wanted = gateway::read_key(body, now());
    if (!wanted) return fail(wanted.error());
    return shown(store_.create(*wanted, now()));
  }
  Result<std::string> list() override {
    const auto keys = store_.all();
    if (!keys) return fail(keys.error());
    std::string body = "{\"keys\":[";
    for (const gateway::StoredKey& each : *keys) {
      if (&each != &keys->front()) body += ',';
      gateway::append_key(body, each, now());
    }
    return body + "]}\n";
  }
  Result<std::string> show(const std::string& name) override {
    const auto keys = store_.all();
    if (!keys) return fail(keys.error());
    for (const gateway::StoredKey& each : *keys)
      if (each.rights.name == name) return shown(Result<gateway::StoredKey>(each));
    if (std::ranges::find(store_.unreadable(), name) != store_.unreadable().end())
      return fail(ErrorCode::kDataLoss,
                  fmt::format("the key \"{}\" cannot be read; it is not accepted", name));
    return fail(gateway::unknown_key(name));
  }
  Result<std::string> revoke(const std::string& name) override { return shown(store_.revoke(name, now())); }
  Result<std::string> rotate(const std::string& name, const std::string& body) override {
    const auto grace = gateway::read_grace(body);
    if (!grace) return fail(grace.error());
    return shown(store_.rotate(name, *grace, now()));
  }

 private:
  static gateway::WallTime now() { return std::chrono::system_clock::now(); }
  static Result<std::string> shown(const Result<gateway::MadeKey>& made) {
    if (!made) return fail(made.error());
    return gateway::made_json(*made, now()) + "\n";
  }
  static Result<std::string> shown(const Result<gateway::StoredKey>& key) {
    if (!key) return fail(key.error());
    std::string body;
    gateway::append_key(body, *key, now());
    return body + "\n";
  }

  gateway::KeyStore store_;
};

}  // namespace

std::unique_ptr<KeyAgent> make_remote_agent(AdminClient client) {
  return std::make_unique<RemoteKeyAgent>(std::move(client));
}

Result<std::unique_ptr<KeyAgent>> make_file_agent(const std::string& path, bool may_create) {
  auto store = gateway::KeyStore::open({.path = path, .create = may_create});
  if (!store) return fail(std::move(store).error());
  return std::make_unique<FileKeyAgent>(std::move(*store));
}

}  // namespace autoglm::app
