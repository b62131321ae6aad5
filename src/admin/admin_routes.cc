#include "admin/admin_routes.h"

#include "base/json_string.h"
#include "gateway/protocol/json/fields.h"

#include "base/utf8.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <utility>

namespace autoglm::admin {

namespace {

using cluster::MemberState;
using gateway::Member;
using gateway::ModelPool;
using gateway::RequestRecord;
using gateway::Route;
using gateway::send_error;

using Pools = std::vector<std::shared_ptr<ModelPool>>;

constexpr std::array kBreakerStates = {"closed", "open", "half_open"};

std::string describe(const ModelPool::MemberView& view) {
  const Member& member = view.member;
  const LoadReport load = member.endpoint->load();
  const MemberState& state = *member.state;
  return fmt::format(
      R"({{"endpoint":{},"weight":{},"backup":{},"enabled":{},"healthy":{},"ejected_for_s":{:.1f},)"
      R"("breaker":"{}","in_flight":{},"max_connections":{},"running":{},"waiting":{},"resumes":{}}})",
      json_string(state.name), member.weight, member.backup, state.enabled.load(), state.health.well(),
      to_seconds(view.ejected_for), kBreakerStates.at(static_cast<std::size_t>(view.breaker)),
      member.in_flight(), member.max_connections, load.running, load.waiting, view.ours());
}

std::string describe(const Pools& pools) {
  std::string body = R"({"models":[)";
  for (const auto& pool : pools) {
    fmt::format_to(std::back_inserter(body), R"({}{{"model":{},"queued":{},"endpoints":[)",
                   pool == pools.front() ? "" : ",", json_string(pool->name()), pool->waiting());
    bool first = true;
    for (const auto& view : pool->members()) {
      if (!std::exchange(first, false)) body += ',';
      body += describe(view);
    }
    body += "]}";
  }
  return body + "]}\n";
}

Task<void> list_endpoints(Pools pools, http::ResponseWriter& response, RequestRecord& record) {
  record.status = 200;
  record.complete = true;
  co_await response.send(200, "application/json", describe(pools));
}

/// The endpoint to switch: in all models, or in one.
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
  for (const auto& pool : pools) {
    if (!target.model.empty() && pool->name() != target.model) continue;
    for (const auto& view : pool->members()) known += (known.empty() ? "" : ", ") + view.member.name();
  }
  return Error{.code = ErrorCode::kNotFound,
               .origin = Origin::kClient,
               .message = fmt::format("there is no endpoint \"{}\"; there are: {}",
                                      excerpt(target.endpoint, 128), known.empty() ? "none" : known),
               .param = "endpoint"};
}

Task<void> switch_endpoint(Pools pools, bool enabled, const http::Request& request,
                           http::ResponseWriter& response, RequestRecord& record) {
  Target target;
  const auto read = protocol::read_fields(request.body, target, kTargetFields);
  if (!read) {
    co_await send_error(response, read.error(), record);
    co_return;
  }
  bool found = false;
  for (const auto& pool : pools) {
    if (target.model.empty() || pool->name() == target.model)
      found |= pool->set_enabled(target.endpoint, enabled);
  }
  if (!found) {
    co_await send_error(response, unknown_endpoint(pools, target), record);
    co_return;
  }
  co_await list_endpoints(pools, response, record);
}

Task<void> answer_reload(const Reload& reload, http::ResponseWriter& response, RequestRecord& record) {
  const auto reloaded = co_await reload();
  if (!reloaded) {
    co_await send_error(response, reloaded.error(), record);
    co_return;
  }
  std::string keys;
  for (const std::string& key : *reloaded) keys += (keys.empty() ? "" : ",") + json_string(key);
  record.status = 200;
  record.complete = true;
  const std::string body = fmt::format("{{\"reloaded\":true,\"restart_needed_for\":[{}]}}\n", keys);
  co_await response.send(200, "application/json", body);
}

}  // namespace

std::vector<Route> reload_routes(Reload reload) {
  return {
      {"POST", "/reload", "",
       [reload = std::move(reload)](http::Request&, http::ResponseWriter& response, RequestRecord& record) {
         return answer_reload(reload, response, record);
       }}};
}

std::vector<Route> endpoint_routes(std::function<Pools()> pools) {
  const auto switching = [pools](bool enabled) {
    return [pools, enabled](http::Request& request, http::ResponseWriter& response, RequestRecord& record) {
      return switch_endpoint(pools(), enabled, request, response, record);
    };
  };
  constexpr std::string_view kExample =
      R"( -H 'Content-Type: application/json' -d '{"endpoint": "10.0.0.11:8000"}')";
  return {{"GET", "/endpoints", "",
           [pools](http::Request&, http::ResponseWriter& response, RequestRecord& record) {
             return list_endpoints(pools(), response, record);
           }},
          {"POST", "/endpoints/drain", kExample, switching(false)},
          {"POST", "/endpoints/enable", kExample, switching(true)}};
}

}  // namespace autoglm::admin
