#include "gateway/front/http/load_routes.h"

#include "gateway/protocol/vllm/load.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace autoglm::gateway {

namespace {

Task<void> show_load(const LiveDirectory& models, const std::optional<PrefixKey>& key,
                     http::ResponseWriter& response, RequestRecord& record) {
  std::vector<protocol::vllm::ModelLoad> loads;
  const auto directory = models.now();
  for (const auto& entry : directory->entries()) {
    const auto prefixes = key ? entry.endpoint->prefixes() : nullptr;
    loads.push_back({entry.name, entry.endpoint->load(),
                     prefixes ? std::make_shared<const PrefixSet>(key->seal(*prefixes)) : nullptr});
  }
  record.status = 200;
  record.complete = true;
  co_await response.send(200, "application/json", protocol::vllm::load_body(loads));
}

}  // namespace

std::vector<Route> load_routes(const LiveDirectory& models, std::optional<PrefixKey> key) {
  return {described("How busy each model is",
                    {"GET", "/load", "",
                     [&models, key = std::move(key)](http::Request&, http::ResponseWriter& response,
                                                     RequestRecord& record) {
                       return show_load(models, key, response, record);
                     }})};
}

}  // namespace autoglm::gateway
