#include "app/app_config.h"

#include <algorithm>
#include <set>

namespace autoglm::app {

namespace {

config::Descriptor<ServerConfig> describe_server() {
  using C = ServerConfig;
  return config::Descriptor<C>("server", "What clients talk to.")
      .field("listen", &C::listen, {.doc = "The address of the API. Port 0 takes a free one."})
      .field("admin_listen", &C::admin_listen,
             {.doc = "The address for the operator: health, metrics, models. Keep it off public networks."})
      .field("workers", &C::workers,
             {.doc = "A ceiling on working threads, event loops and compute together; never more than the "
                     "CPUs this "
                     "process may use. 0: those. Also `MAX_WORKERS`.",
              .example = "4",
              .max = 4096})
      .field("request_timeout", &C::request_timeout,
             {.doc = "How long a whole answer may take, waiting included; of a streamed one, the first token "
                     "and then each "
                     "next one. Also `API_TIMEOUT`, in seconds.",
              .min = 0.001,
              .max = 86'400})
      .field("drain_timeout", &C::drain_timeout,
             {.doc = "How long answers under way may go on after SIGTERM. A second signal ends at once.",
              .max = 86'400})
      .bytes("max_body", &C::max_body, {.doc = "The largest request body.", .min = 1024, .max = 1 << 30})
      .field("max_connections", &C::max_connections,
             {.doc = "Connections at a time; further ones are told 503.", .min = 1, .max = 10'000'000})
      .section("tls", &C::tls,
               describe_listener_tls("tls", "Speak TLS at `listen`. Unset: plain HTTP. See docs/tls.md."))
      .section("admin_tls", &C::admin_tls, describe_listener_tls("admin_tls", "The same at `admin_listen`."));
}

config::Descriptor<ModelConfig> describe_model() {
  using C = ModelConfig;
  return config::Descriptor<C>(
             "model", "The models that clients can ask for; the first is what they get without asking.")
      .field("name", &C::name,
             {.doc = "What clients call it. Unset: the name of its file.", .example = "smollm2"})
      .section("engine", &C::engine, engine::describe_engine())
      .include(&C::pool, gateway::describe_pool())
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (c.engine.has_value() == c.is_pool()) {
          wrong.push_back({"", c.is_pool()
                                   ? "has both `engine` and `endpoints`; name the one that answers"
                                   : "has neither `engine` (a model to load here) nor `endpoints` (servers "
                                     "that have it)"});
        }
        if (c.is_pool() && c.name.empty())
          wrong.push_back({"", "has endpoints and no `name`; say what clients call it"});
        return wrong;
      });
}

config::Descriptor<TelemetryConfig> describe_telemetry() {
  using C = TelemetryConfig;
  return config::Descriptor<C>("telemetry", "What the server tells about itself.")
      .field("metrics", &C::metrics, {.doc = "Serve Prometheus metrics at /metrics. Also `ENABLE_METRICS`."})
      .section("log", &C::log, observe::describe_log());
}

/// The models that `name` falls back to, and theirs: back to itself?
bool falls_back_to_itself(const AppConfig& config, const std::string& name) {
  std::set<std::string> seen;
  std::vector<std::string> open{name};
  while (!open.empty()) {
    const std::string at = std::move(open.back());
    open.pop_back();
    const auto model = std::ranges::find(config.models, at, &ModelConfig::name);
    if (model == config.models.end()) continue;
    for (const std::string& next : model->pool.fallback) {
      if (next == name) return true;
      if (seen.insert(next).second) open.push_back(next);
    }
  }
  return false;
}

void check_fallbacks(const AppConfig& config, std::vector<config::Violation>& wrong) {
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    const ModelConfig& model = config.models[i];
    const std::string path = "models[" + std::to_string(i) + "].fallback";
    if (!model.pool.fallback.empty() && model.engine) {
      wrong.push_back({path, "is only for models with endpoints"});
      continue;
    }
    for (std::size_t k = 0; k < model.pool.fallback.size(); ++k) {
      const std::string& name = model.pool.fallback[k];
      if (std::ranges::find(config.models, name, &ModelConfig::name) != config.models.end()) continue;
      wrong.push_back({path + "[" + std::to_string(k) + "]", "names no model here: \"" + name + "\""});
    }
    if (falls_back_to_itself(config, model.name))
      wrong.push_back({path, "leads back to \"" + model.name + "\" itself; break the circle"});
  }
}

std::vector<config::Violation> check_app(const AppConfig& config) {
  std::vector<config::Violation> wrong;
  std::set<std::string> names;
  check_fallbacks(config, wrong);
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    const std::string& name = config.models[i].name;
    if (!name.empty() && !names.insert(name).second) {
      wrong.push_back(
          {"models[" + std::to_string(i) + "].name", "another model is called \"" + name + "\" already"});
    }
  }
  if (config.server.listen == config.server.admin_listen && config.server.listen.port != 0) {
    wrong.push_back({"server.admin_listen", "is the same as server.listen; give the operator another port"});
  }
  return wrong;
}

}  // namespace

config::Descriptor<AppConfig> describe_app() {
  using C = AppConfig;
  return config::Descriptor<C>("open-autoglm", "The configuration of `open-autoglm serve`.")
      .section("server", &C::server, describe_server())
      .section("models", &C::models, describe_model())
      .section("telemetry", &C::telemetry, describe_telemetry())
      .check(check_app);
}

}  // namespace autoglm::app
