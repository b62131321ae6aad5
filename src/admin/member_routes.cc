#include "admin/member_routes.h"

#include "base/json_string.h"
#include "base/redact.h"

#include <fmt/format.h>

#include <chrono>
#include <iterator>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace autoglm::admin {

namespace {

using gateway::ModelPool;
using gateway::RequestRecord;

/// Why no request goes there now; empty: requests do.
std::string_view why_not(const ModelPool::MemberView& view, bool all_backups_wait) {
  const auto& state = *view.member.state;
  if (!state.enabled.load()) return "drained by the operator";
  if (!state.health.well()) return "its checks fail";
  if (view.ejected_for > Duration::zero()) return "ejected after failures";
  if (view.breaker == gateway::CircuitBreaker::State::kOpen) return "its breaker is open";
  if (view.member.backup && all_backups_wait) return "a backup";
  return {};
}

std::string describe(const ModelPool::MemberView& view, const cluster::Discovery::Origin& origin,
                     bool all_backups_wait) {
  const std::string_view why = why_not(view, all_backups_wait);
  return fmt::format(
      R"({{"endpoint":{},"url":{},"from":{},"held":{},"weight":{},"backup":{},"asked":{},"why":{}}})",
      json_string(view.member.name()), json_string(without_secrets(view.spec.url)),
      json_string(origin.source), origin.held, view.member.weight, view.member.backup, why.empty(),
      json_string(why));
}

std::string describe(const cluster::Discovery::SourceView& source) {
  return fmt::format(
      R"({{"registry":{},"up":{},"error":{},"instances":{},"members":{},"held":{},"left_out":{}}})",
      json_string(source.name), source.answered && source.trouble.empty(), json_string(source.trouble),
      source.instances, source.members, source.held, source.skipped);
}

std::string describe(const FoundPool& found) {
  std::string body = fmt::format(R"({{"model":{},"registries":[)", json_string(found.pool->name()));
  bool first = true;
  if (found.discovery) {
    for (const auto& source : found.discovery->sources()) {
      if (!std::exchange(first, false)) body += ',';
      body += describe(source);
    }
  }
  body += R"(],"members":[)";
  const auto views = found.pool->members();
  bool all_backups_wait = false;
  for (const auto& view : views) all_backups_wait |= !view.member.backup && why_not(view, false).empty();
  const auto origins = found.discovery ? found.discovery->origins()
                                       : std::unordered_map<std::string_view, cluster::Discovery::Origin>();
  first = true;
  for (const auto& view : views) {
    if (!std::exchange(first, false)) body += ',';
    const auto origin = origins.find(view.spec.url);
    body += describe(
        view,
        origin != origins.end() ? origin->second : cluster::Discovery::Origin{.source = "configuration"},
        all_backups_wait);
  }
  return body + "]}";
}

std::string describe(const cluster::Registrations::View& view) {
  return fmt::format(
      R"({{"registry":{},"service":{},"id":{},"address":{},"models":{},"registered":{},"error":{}}})",
      json_string(view.registry), json_string(view.service), json_string(view.id), json_string(view.address),
      json_string(view.models), view.registered, json_string(view.trouble));
}

Task<void> list_members(std::vector<FoundPool> pools, std::vector<cluster::Registrations::View> registrations,
                        http::ResponseWriter& response, RequestRecord& record) {
  std::string body = R"({"models":[)";
  for (const FoundPool& each : pools) {
    if (&each != &pools.front()) body += ',';
    body += describe(each);
  }
  body += R"(],"registered":[)";
  for (const auto& each : registrations) {
    if (&each != &registrations.front()) body += ',';
    body += describe(each);
  }
  body += "]}\n";
  pools.clear();  // a client that reads slowly must not keep what is no longer configured
  record.status = 200;
  record.complete = true;
  co_await response.send(200, "application/json", body);
}

}  // namespace

std::vector<gateway::Route> member_routes(
    std::function<std::vector<FoundPool>()> pools,
    std::function<std::vector<cluster::Registrations::View>()> registrations) {
  return {{"GET", "/members", "",
           [pools = std::move(pools), registrations = std::move(registrations)](
               http::Request&, http::ResponseWriter& response, RequestRecord& record) {
             return list_members(pools(), registrations(), response, record);
           }}};
}

}  // namespace autoglm::admin
