#include "base/json_string.h"
#include "gateway/front/http/front.h"
#include "gateway/protocol/json/fields.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <utility>

namespace autoglm::gateway {

namespace {

using Pools = std::vector<ModelPool*>;

constexpr std::array kBreakerStates = {"closed", "open", "half_open"};

std::string describe(const ModelPool::MemberView& view) {
  const Member& member = view.member;
  const LoadReport load = member.endpoint.load();
  return fmt::format(
      R"({{"endpoint":{},"weight":{},"backup":{},"enabled":{},"healthy":{},"breaker":"{}","in_flight":{},)"
      R"("running":{},"waiting":{},"resumes":{}}})",
      json_string(member.name), member.weight, member.backup, member.enabled.load(), member.healthy.load(),
      kBreakerStates.at(static_cast<std::size_t>(view.breaker)), member.in_flight.load(), load.running,
      load.waiting, view.resumes);
}

std::string describe(const Pools& pools) {
  std::string body = R"({"models":[)";
  for (const ModelPool* pool : pools) {
    fmt::format_to(std::back_inserter(body), R"({}{{"model":{},"endpoints":[)",
                   pool == pools.front() ? "" : ",", json_string(pool->name()));
    bool first = true;
    for (const auto& view : pool->members()) {
      if (!std::exchange(first, false)) body += ',';
      body += describe(view);
    }
    body += "]}";
  }
  return body + "]}\n";
}

Task<void> list_endpoints(const Pools& pools, http::ResponseWriter& response, RequestRecord& record) {
  record.status = 200;
  record.complete = true;
  co_await response.send(200, "application/json", describe(pools));
}

/// What is to be switched: everywhere, or of one model.
struct Target {
  std::string model;
  std::string endpoint;
};

template <std::string Target::* Member>
Result<void> read_text(const protocol::JsonValue& value, Target& target) {
  auto text = value.as_string();
  if (!text) return fail(text.error());
  target.*Member = std::move(*text);
  return {};
}

constexpr auto kTargetFields = std::to_array<protocol::JsonField<Target>>(
    {{"model", read_text<&Target::model>}, {"endpoint", read_text<&Target::endpoint>}});

Error unknown_endpoint(const Pools& pools, const Target& target) {
  std::string known;
  for (const ModelPool* pool : pools) {
    if (!target.model.empty() && pool->name() != target.model) continue;
    for (const auto& view : pool->members()) known += (known.empty() ? "" : ", ") + view.member.name;
  }
  return Error{.code = ErrorCode::kNotFound,
               .origin = Origin::kClient,
               .message = fmt::format("there is no endpoint \"{}\"; there are: {}",
                                      target.endpoint.substr(0, 128), known.empty() ? "none" : known),
               .param = "endpoint"};
}

Task<void> switch_endpoint(const Pools& pools, bool enabled, const http::Request& request,
                           http::ResponseWriter& response, RequestRecord& record) {
  Target target;
  const auto read = protocol::read_fields(request.body, target, kTargetFields);
  if (!read) {
    co_await send_error(response, read.error(), record);
    co_return;
  }
  bool found = false;
  for (ModelPool* pool : pools) {
    if (target.model.empty() || pool->name() == target.model)
      found |= pool->set_enabled(target.endpoint, enabled);
  }
  if (!found) {
    co_await send_error(response, unknown_endpoint(pools, target), record);
    co_return;
  }
  co_await list_endpoints(pools, response, record);
}

}  // namespace

std::vector<Route> endpoint_routes(std::vector<ModelPool*> pools) {
  const auto shared = std::make_shared<const Pools>(std::move(pools));
  const auto switching = [shared](bool enabled) {
    return [shared, enabled](http::Request& request, http::ResponseWriter& response, RequestRecord& record) {
      return switch_endpoint(*shared, enabled, request, response, record);
    };
  };
  constexpr std::string_view kExample = R"( -d '{"endpoint": "10.0.0.11:8000"}')";
  return {{"GET", "/endpoints", "",
           [shared](http::Request&, http::ResponseWriter& response, RequestRecord& record) {
             return list_endpoints(*shared, response, record);
           }},
          {"POST", "/endpoints/drain", kExample, switching(false)},
          {"POST", "/endpoints/enable", kExample, switching(true)}};
}

}  // namespace autoglm::gateway
