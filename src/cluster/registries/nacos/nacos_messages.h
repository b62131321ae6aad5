#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "cluster/registries/registry.h"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::cluster {

/// The instances of a service.
struct NacosService {
  std::vector<Instance> instances;
  Duration fresh_for = std::chrono::seconds(10);  ///< as the server says, within bounds
  std::int64_t made_at = 0;                       ///< by the server's clock; 0: it does not say
};

/// What is made of a server's protection threshold, with which it calls the dead healthy.
enum class NacosProtection : std::uint8_t { kKept, kIgnored };

/// An access token.
struct NacosLogin {
  std::string token;
  Duration valid_for = {};
};

/// A text of the configuration center.
struct NacosText {
  std::string text;
  std::string md5;
};

/// Fields as a form's body, or as a URL's query. What is empty is left out.
std::string nacos_form(std::initializer_list<std::pair<std::string_view, std::string_view>> fields);
/// The same as an object of JSON.
std::string nacos_json(std::initializer_list<std::pair<std::string_view, std::string_view>> fields);

/// Reads the answers of `/v1/ns/instance/list` and `/v3/client/ns/instance/list`, and the messages of gRPC
/// that carry a service. An instance that is disabled or has the weight 0 is not healthy; while the server's
/// protection threshold is reached and kept, all others are. Errors: kBadGateway.
Result<NacosService> read_nacos_service(std::string_view body,
                                        NacosProtection protection = NacosProtection::kKept);
/// Errors: kBadGateway.
Result<NacosLogin> read_nacos_login(std::string_view body);
/// Reads the answers of `/v3/client/cs/config` and ConfigQueryRequest. Errors: kNotFound, kBadGateway.
Result<NacosText> read_nacos_text(std::string_view body);

/// Whether an answer with an object of JSON says that it went well. Errors: kNotFound for what is registered
/// no more (20404, 21003), kPermissionDenied (401, 403), kUnavailable with the server's message, kBadGateway.
Result<void> read_nacos_outcome(std::string_view body);

/// The request's id in a message of a server, as JSON writes it; null: it has none.
std::string read_nacos_request_id(std::string_view body);
/// Whether an answer to ConfigBatchListenRequest names a text that differs from what we have.
bool read_nacos_changed(std::string_view body);
/// In hexadecimal, as Nacos writes it.
std::string md5_of(std::string_view text);

/// How often the server wants to hear that we live, of an answer to `/v1/ns/instance/beat`.
Duration read_nacos_beat(std::string_view body);

}  // namespace autoglm::cluster
