#pragma once

#include "gateway/admission/keys/live_key_store.h"
#include "gateway/front/http/route.h"

#include <functional>
#include <string>
#include <vector>

namespace autoglm::admin {

/// What the routes show and change. All it refers to outlives them.
struct KeyDesk {
  gateway::LiveKeyStore* store = nullptr;  ///< null: the server has none, and makes no keys
  /// Keys that only files change: the name of their source, and the keys.
  using Source = std::pair<std::string, const std::vector<gateway::KeyConfig>*>;
  std::function<std::vector<Source>()> others;
  /// Whether a key with these rights may be made, by the configuration of now.
  std::function<Result<void>(const gateway::KeyConfig&)> check;
};

/// GET and POST /keys, GET and DELETE /keys/NAME, POST /keys/NAME/rotate: for the operator only. An answer
/// has a key's text once, when the key is made, and `Cache-Control: no-store`.
std::vector<gateway::Route> key_routes(KeyDesk desk);

}  // namespace autoglm::admin
