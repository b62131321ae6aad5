#include "gateway/front/http/front.h"
#include "gateway/protocol/vllm/load.h"

#include <vector>

namespace autoglm::gateway {

namespace {

Task<void> show_load(const LiveDirectory& models, http::ResponseWriter& response, RequestRecord& record) {
  std::vector<protocol::vllm::ModelLoad> loads;
  const auto directory = models.now();
  for (const auto& entry : directory->entries())
    loads.push_back({entry.name, entry.endpoint->load(), entry.endpoint->prefixes()});
  record.status = 200;
  record.complete = true;
  co_await response.send(200, "application/json", protocol::vllm::load_body(loads));
}

}  // namespace

std::vector<Route> load_routes(const LiveDirectory& models) {
  return {
      {"GET", "/load", "", [&models](http::Request&, http::ResponseWriter& response, RequestRecord& record) {
         return show_load(models, response, record);
       }}};
}

}  // namespace autoglm::gateway
