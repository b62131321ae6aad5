#include "app/app_warnings.h"

#include "cluster/registration/self_description.h"
#include "config/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace autoglm::app {

namespace {

using config::to_string;
using Warnings = std::vector<config::Violation>;

void warn_of_open_admin(const ServerConfig& server, Warnings& warnings) {
  if (server.admin_listen.is_loopback() || !server.admin_token.empty() ||
      (server.admin_tls && !server.admin_tls->client_ca.empty()))
    return;
  warnings.push_back({"server.admin_listen",
                      fmt::format("is {}: whoever reaches it can reload, drain endpoints and read all of it; "
                                  "listen on 127.0.0.1, set `server.admin_token`, or ask for certificates "
                                  "(`server.admin_tls.client_ca`)",
                                  server.admin_listen.to_string())});
}

/// Keys that are not in the file may have any budget.
void warn_of_retention(const AdmissionConfig& admission, Warnings& warnings) {
  if (!admission.journal || admission.journal->retention >= kLongestMonth) return;
  if (admission.keys_file.empty() && !admission.key_store) return;
  warnings.push_back({"journal.retention",
                      fmt::format("is {}: should a key of `{}` have a budget of a month, a restart would "
                                  "forget a part of it; write 31d or more",
                                  to_string(admission.journal->retention),
                                  admission.key_store ? "key_store" : "keys_file")});
}

/// Warns where `server.request_timeout` ends a request before the model's own timeouts do.
void warn_of_times(const ServerConfig& server, const ModelConfig& model, const config::Node& written,
                   const std::string& path, Warnings& warnings) {
  const gateway::TimeoutsConfig& times = model.pool.timeouts;
  const Duration whole = times.total.value_or(server.request_timeout);
  const std::string whole_key = times.total ? "`timeouts.total`" : "`server.request_timeout`";
  if (!times.total && times.first_token && *times.first_token > whole) {
    warnings.push_back({path + ".timeouts.first_token",
                        fmt::format("is {}, but an answer that is not streamed is ended after {}, {}; set "
                                    "`timeouts.total`, too",
                                    to_string(*times.first_token), whole_key, to_string(whole))});
  }
  if (times.total && !times.first_token && server.request_timeout > *times.total &&
      find(written, "server.request_timeout") != nullptr) {
    warnings.push_back({path + ".timeouts.total",
                        fmt::format("is {}, shorter than the {} that a stream's first token may take by "
                                    "`server.request_timeout`; set `timeouts.first_token` below it",
                                    to_string(*times.total), to_string(server.request_timeout))});
  }
  if (find(written, path + ".queue") != nullptr && model.pool.queue.timeout > whole) {
    warnings.push_back({path + ".queue.timeout",
                        fmt::format("is {}, longer than {}, {}, which ends the wait of answers that are not "
                                    "streamed first; make it shorter",
                                    to_string(model.pool.queue.timeout), whole_key, to_string(whole))});
  }
}

/// Warns where a model's line, which knows no groups, lets requests wait before their group's share is asked.
void warn_of_shares_behind_a_line(const ModelConfig& model, const std::string& path, Warnings& warnings) {
  if (!model.engine) return;
  const bool adaptive = model.concurrency == Concurrency::kAdaptive;
  if (!adaptive &&
      (model.concurrent == 0 || model.concurrent >= model.engine->max_sequences + model.engine->max_waiting))
    return;
  warnings.push_back({path + (adaptive ? ".concurrency" : ".concurrent"),
                      "lets requests wait in a line that knows no groups, before the engine sees to their "
                      "shares: while others "
                      "fill it, a group waits or is refused, whatever its `share`; leave it out, and bound "
                      "groups by their own "
                      "`concurrent`"});
}

/// The route to a registry on this machine says nothing about where others reach us.
void warn_of_loopback(const AppConfig& config, Warnings& warnings) {
  if (!cluster::listens_everywhere(config.server.listen)) return;
  for (std::size_t i = 0; i < config.registers.size(); ++i) {
    const cluster::RegisterConfig& entry = config.registers[i];
    if (!entry.address.empty() || !cluster::registry_address(entry).is_loopback()) continue;
    warnings.push_back({fmt::format("register[{}]", i),
                        "has a registry on this machine and no `address`: others are told to find us at "
                        "127.0.0.1; set `address`"});
  }
}

}  // namespace

Warnings app_warnings(const AppConfig& config, const config::Node& written) {
  Warnings warnings;
  warn_of_open_admin(config.server, warnings);
  if (find(written, "server.admin_token") != nullptr && config.server.admin_token.empty()) {
    warnings.push_back(
        {"server.admin_token", "is empty, and none is asked for; set the variable, or remove this key"});
  }
  warn_of_retention(config.admission, warnings);
  warn_of_loopback(config, warnings);
  const LiveGroupShares::Table shares = gateway::shares_of(config.admission.groups);
  const bool has_shares = std::ranges::any_of(shares, [](const GroupShare& each) { return each.share > 0; });
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    const std::string path = "models[" + std::to_string(i) + "]";
    if (config.models[i].is_pool()) warn_of_times(config.server, config.models[i], written, path, warnings);
    if (has_shares) warn_of_shares_behind_a_line(config.models[i], path, warnings);
  }
  return warnings;
}

}  // namespace autoglm::app
