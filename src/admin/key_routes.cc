#include "admin/key_routes.h"

#include "base/utf8.h"
#include "gateway/admission/keys/key_json.h"
#include "http/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace autoglm::admin {

namespace {

using gateway::KeyConfig;
using gateway::RequestRecord;
using gateway::Route;
using gateway::send_error;
using gateway::StoredKey;
using gateway::WallTime;

using SharedDesk = std::shared_ptr<const KeyDesk>;

constexpr std::string_view kKeys = "/keys/";
constexpr std::string_view kRotate = "/rotate";

WallTime clock_now() { return std::chrono::system_clock::now(); }

Task<void> send_key(http::ResponseWriter& response, RequestRecord& record, int status, std::string body) {
  record.status = status;
  record.complete = true;
  response.add_header("Cache-Control", "no-store");
  body += '\n';
  co_await response.send(status, "application/json", body);
}

/// The key's name in the path, between /keys/ and `tail`.
Result<std::string> name_in(std::string_view path, std::string_view tail) {
  path.remove_prefix(kKeys.size());
  path.remove_suffix(tail.size());
  auto name = http::percent_decode(path);
  if (name) return std::move(*name);
  return fail(invalid_field("name", "the key's name in the address is not percent-encoded well"));
}

Error no_store() {
  return Error{
      .code = ErrorCode::kNotFound,
      .origin = Origin::kClient,
      .message = "this server makes no keys: set key_store.path in its configuration and start it again",
      .reason = "no_key_store"};
}

/// Why a key's name keeps it from being changed: another one that only files change has it, too, and is the
/// one in force.
std::optional<Error> find_other(const KeyDesk& desk, const std::string& name) {
  for (const auto& [source, keys] : desk.others()) {
    if (std::ranges::find(*keys, name, &KeyConfig::name) == keys->end()) continue;
    Error error = invalid_field(
        "name",
        fmt::format("the key \"{}\" stands in a file ({}); change it there", excerpt(name, 64), source),
        "key_configured");
    error.said = std::make_shared<const EndpointAnswer>(EndpointAnswer{.status = 409});
    return error;
  }
  return std::nullopt;
}

/// The stored key at `path`, before `tail`, that is to be changed. Errors: why it cannot be.
Result<std::string> changeable(const KeyDesk& desk, std::string_view path, std::string_view tail) {
  auto name = name_in(path, tail);
  if (!name) return name;
  if (desk.store == nullptr) return fail(no_store());
  if (auto other = find_other(desk, *name)) return fail(std::move(*other));
  return name;
}

std::string list_json(const KeyDesk& desk) {
  const WallTime now = clock_now();
  std::string body = "{\"keys\":[";
  const auto separate = [&body] {
    if (body.back() != '[') body += ',';
  };
  for (const auto& [source, keys] : desk.others()) {
    for (const KeyConfig& each : *keys) {
      separate();
      gateway::append_key(body, each, source, now);
    }
  }
  if (desk.store != nullptr) {
    for (const StoredKey& each : desk.store->contents()->keys) {
      separate();
      gateway::append_key(body, each, now);
    }
  }
  return body + "]}";
}

std::optional<std::string> find_json(const KeyDesk& desk, const std::string& name) {
  std::string body;
  for (const auto& [source, keys] : desk.others()) {
    const auto found = std::ranges::find(*keys, name, &KeyConfig::name);
    if (found == keys->end()) continue;
    gateway::append_key(body, *found, source, clock_now());
    return body;
  }
  if (desk.store == nullptr) return std::nullopt;
  const auto& stored = desk.store->contents()->keys;
  const auto found = std::ranges::find(
      stored, name, [](const StoredKey& key) -> const std::string& { return key.rights.name; });
  if (found == stored.end()) return std::nullopt;
  gateway::append_key(body, *found, clock_now());
  return body;
}

Task<void> list_keys(SharedDesk desk, http::Request& /*request*/, http::ResponseWriter& response,
                     RequestRecord& record) {
  return send_key(response, record, 200, list_json(*desk));
}

Task<void> show_key(SharedDesk desk, http::Request& request, http::ResponseWriter& response,
                    RequestRecord& record) {
  const auto name = name_in(request.path, "");
  const auto body = name ? find_json(*desk, *name) : std::nullopt;
  if (body) {
    co_await send_key(response, record, 200, *body);
  } else {
    co_await send_error(response, name ? gateway::unknown_key(*name) : name.error(), record);
  }
}

Task<void> make_key(SharedDesk desk, http::Request& request, http::ResponseWriter& response,
                    RequestRecord& record) {
  if (desk->store == nullptr) {
    co_await send_error(response, no_store(), record);
    co_return;
  }
  auto wanted = gateway::read_key(request.body, clock_now());
  if (wanted) {
    if (auto checked = desk->check(*wanted); !checked) wanted = fail(std::move(checked).error());
  }
  if (!wanted) {
    co_await send_error(response, wanted.error(), record);
    co_return;
  }
  const auto made = co_await desk->store->create(std::move(*wanted));
  if (!made) {
    co_await send_error(response, made.error(), record);
    co_return;
  }
  co_await send_key(response, record, 201, gateway::made_json(*made, clock_now()));
}

Task<void> revoke_key(SharedDesk desk, http::Request& request, http::ResponseWriter& response,
                      RequestRecord& record) {
  const auto name = changeable(*desk, request.path, "");
  Result<StoredKey> revoked = fail(name ? Error() : name.error());
  if (name) revoked = co_await desk->store->revoke(*name);
  if (!revoked) {
    co_await send_error(response, revoked.error(), record);
    co_return;
  }
  std::string body;
  gateway::append_key(body, *revoked, clock_now());
  co_await send_key(response, record, 200, std::move(body));
}

Task<void> rotate_key(SharedDesk desk, http::Request& request, http::ResponseWriter& response,
                      RequestRecord& record) {
  const auto name = changeable(*desk, request.path, kRotate);
  const auto grace = gateway::read_grace(request.body);
  Result<gateway::MadeKey> made = fail(!name ? name.error() : grace ? Error() : grace.error());
  if (name && grace) made = co_await desk->store->rotate(*name, *grace);
  if (!made) {
    co_await send_error(response, made.error(), record);
    co_return;
  }
  co_await send_key(response, record, 200, gateway::made_json(*made, clock_now()));
}

}  // namespace

std::vector<Route> key_routes(KeyDesk desk) {
  const auto shared = std::make_shared<const KeyDesk>(std::move(desk));
  const auto by = [&shared](auto answer) {
    return [shared, answer](http::Request& request, http::ResponseWriter& response, RequestRecord& record) {
      return answer(shared, request, response, record);
    };
  };
  constexpr std::string_view kExample =
      R"( -H 'Content-Type: application/json' -d '{"name": "alice", "expires": "90d"}')";
  constexpr std::string_view kRotation = R"( -H 'Content-Type: application/json' -d '{"grace": "1h"}')";
  return {{"GET", "/keys", "", by(list_keys)},
          {"POST", "/keys", kExample, by(make_key)},
          {"POST", "/keys/{name}/rotate", kRotation, by(rotate_key)},
          {"GET", "/keys/{name}", "", by(show_key)},
          {"DELETE", "/keys/{name}", " -X DELETE", by(revoke_key)}};
}

}  // namespace autoglm::admin
