#pragma once

#include "cluster/registries/nacos/nacos_connection.h"
#include "http/testing/http2_test_server.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::cluster {

/// The gRPC side of a Nacos, as 3.1 was seen to answer: what it is asked, and what it answers and pushes, is
/// the test's. Lives on the current loop.
class NacosTestServer {
 public:
  NacosTestServer()
      : server_([this](http::Http2TestConnection& connection, std::int32_t id) { told(connection, id); }) {}

  std::uint16_t port() const { return server_.port(); }
  std::size_t connections() const { return server_.connections.size(); }
  http::Http2TestConnection& connection(std::size_t number) { return *server_.connections[number]; }
  http::Http2TestConnection& last_connection() { return *server_.connections.back(); }
  /// How often it was asked `type`.
  std::size_t asked(const std::string& type) const {
    std::size_t count = 0;
    for (const NacosMessage& each : seen) count += each.type == type ? 1 : 0;
    return count;
  }
  /// Sends a request of its own on the newest connection.
  void push(const NacosMessage& message) { last_connection().send(stream_, framed(message)); }

  std::map<std::string, std::string> answers;  ///< JSON by the type of the question; else: it went well
  std::vector<NacosMessage> seen;              ///< all that clients have sent, in order
  bool acknowledges = true;                    ///< false: as 2.0, which sends no SetupAckRequest

 private:
  static std::string framed(const NacosMessage& message) {
    const std::string payload = write_nacos_payload(message, "");
    std::string bytes(1, '\0');
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(payload.size() >> shift & 0xffU);
    return bytes + payload;
  }
  static std::optional<NacosMessage> take(std::string& body) {
    if (body.size() < 5) return std::nullopt;
    std::size_t size = 0;
    for (std::size_t i = 1; i < 5; ++i) size = size << 8U | static_cast<unsigned char>(body[i]);
    if (body.size() < 5 + size) return std::nullopt;
    auto message = read_nacos_payload(std::string_view(body).substr(5, size));
    body.erase(0, 5 + size);
    return message ? std::optional(*message) : std::nullopt;
  }

  void told(http::Http2TestConnection& connection, std::int32_t id) {
    auto& call = connection.asked[id];
    const http::Http2TestConnection::Fields head = {{"content-type", "application/grpc"}};
    while (auto message = take(call.body)) {
      seen.push_back(*message);
      if (call.head[":path"] == "/Request/request") {
        const auto said = answers.find(message->type);
        std::string json =
            said != answers.end() ? said->second : R"({"resultCode":200,"errorCode":0,"success":true})";
        if (said == answers.end() && message->type == "ServerCheckRequest")
          json = std::string(
                     R"({"resultCode":200,"connectionId":"1_127.0.0.1_2","supportAbilityNegotiation":)") +
                 (acknowledges ? "true}" : "false}");
        connection.respond(id, "200", head, framed({.type = "Response", .body = json}), true,
                           {{"grpc-status", "0"}});
      } else if (message->type == "ConnectionSetupRequest") {
        stream_ = id;
        connection.respond(
            id, "200", head,
            acknowledges ? framed({.type = "SetupAckRequest", .body = R"({"module":"internal"})"}) : "",
            false);
      }
    }
  }

  std::int32_t stream_ = 0;
  http::Http2TestServer server_;
};

}  // namespace autoglm::cluster
