#include "app/app_config.h"

#include "app/app_warnings.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace autoglm::app {

namespace {

config::Descriptor<ModelConfig> describe_model() {
  using C = ModelConfig;
  return config::Descriptor<C>(
             "model", "The models that clients can ask for; the first is what they get without asking.")
      .field("name", &C::name,
             {.doc = "What clients call it. Unset: the name of its file.", .example = "smollm2"})
      .field("aliases", &C::aliases,
             {.doc = "What else clients may call it. Answers have its name.",
              .example = "[gpt-4o-mini, default]"})
      .section("engine", &C::engine, engine::describe_engine())
      .field(
          "concurrent", &C::concurrent,
          {.doc =
               "Requests of the model at a time; further ones wait in its `queue`, by priority, and tenants "
               "in turn by tokens. With `concurrency: adaptive` the most that is tried. 0: no limit.",
           .example = "64",
           .max = 1'000'000})
      .field(
          "concurrency", &C::concurrency,
          {.doc =
               "`fixed`: as `concurrent` says. `adaptive`: as many as the time to the first token per token "
               "of prompt shows to be worked on at once, so that the others queue up here, where they can "
               "be ordered."})
      .include(&C::pool, gateway::describe_pool())
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (c.engine.has_value() == c.is_pool()) {
          wrong.push_back(
              {"", c.is_pool() ? "has both `engine` and `endpoints` or `discover`; name the one that answers"
                               : "has neither `engine` (a model to load here) nor `endpoints` or "
                                 "`discover` (servers that have it)"});
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

config::Descriptor<ResponsesConfig> describe_responses() {
  using C = ResponsesConfig;
  return config::Descriptor<C>("responses",
                               "What is kept of the answers of /v1/responses, for `previous_response_id` and "
                               "GET /v1/responses/ID. Each API key finds its own.")
      .field("store", &C::store,
             {.doc = "`memory`: until the server ends. `none`: nothing; a request that goes on from another "
                     "one is refused."})
      .bytes("max_bytes", &C::max_bytes,
             {.doc = "Memory for all of them; the oldest go first.", .min = 1 << 16})
      .field("ttl", &C::ttl, {.doc = "How long each is kept at most.", .min = 1, .max = 31'536'000});
}

/// Whether the fallbacks of `name`, and their fallbacks, lead back to it.
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

void check_registers(const AppConfig& config, std::vector<config::Violation>& wrong) {
  const auto& entries = config.registers;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string path = fmt::format("register[{}]", i);
    for (std::size_t k = 0; k < i; ++k)
      if (cluster::is_same_entry(entries[i], entries[k]))
        wrong.push_back({path, fmt::format("is the entry of register[{}] once more; give it another `id`, or "
                                           "remove it",
                                           k)});
    for (std::size_t k = 0; k < entries[i].models.names.size(); ++k) {
      const std::string& name = entries[i].models.names[k];
      if (std::ranges::find(config.models, name, &ModelConfig::name) == config.models.end() &&
          std::ranges::all_of(config.models, [](const auto& model) { return !model.name.empty(); }))
        wrong.push_back({fmt::format("{}.models[{}]", path, k), "names no model here: \"" + name + "\""});
    }
  }
}

std::vector<config::Violation> check_app(const AppConfig& config) {
  std::vector<config::Violation> wrong;
  std::set<std::string> names;
  check_fallbacks(config, wrong);
  check_registers(config, wrong);
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    const std::string& name = config.models[i].name;
    if (!name.empty() && !names.insert(name).second) {
      wrong.push_back(
          {"models[" + std::to_string(i) + "].name", "another model is called \"" + name + "\" already"});
    }
  }
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    const auto& aliases = config.models[i].aliases;
    for (std::size_t k = 0; k < aliases.size(); ++k) {
      const std::string path = fmt::format("models[{}].aliases[{}]", i, k);
      if (aliases[k].empty())
        wrong.push_back({path, "is empty, and clients that name no model get the first"});
      if (!names.insert(aliases[k]).second)
        wrong.push_back({path, "a model is called \"" + aliases[k] + "\" already"});
    }
  }
  if (config.server.listen == config.server.admin_listen && config.server.listen.port != 0) {
    wrong.push_back({"server.admin_listen", "is the same as server.listen; give the operator another port"});
  }
  const bool asks_for_certificates = config.server.tls && !config.server.tls->client_ca.empty();
  for (std::size_t i = 0; i < config.admission.keys.size() && !asks_for_certificates; ++i) {
    if (!config.admission.keys[i].certificate.empty())
      wrong.push_back(
          {"keys[" + std::to_string(i) + "].certificate",
           "is never shown: set `server.tls.client_ca`, so that clients are asked for certificates"});
  }
  if (config.server.body_memory / 2 < config.server.max_body) {
    wrong.push_back(
        {"server.body_memory", "must be at least twice server.max_body, or the largest body never fits"});
  }
  return wrong;
}

}  // namespace

std::vector<gateway::BulkheadConfig> bulkheads_of(const std::vector<ModelConfig>& models) {
  std::vector<gateway::BulkheadConfig> bulkheads;
  for (const ModelConfig& model : models) {
    const bool adaptive = model.concurrency == Concurrency::kAdaptive;
    if (model.concurrent == 0 && !adaptive) continue;
    bulkheads.push_back({.name = model.name,
                         .concurrent = model.concurrent,
                         .queue = {.size = model.pool.queue.size, .timeout = model.pool.queue.timeout},
                         .adaptive = adaptive});
  }
  return bulkheads;
}

std::vector<std::string> asked_registries(const AppConfig& config) {
  std::vector<std::string> lines;
  for (const ModelConfig& model : config.models) {
    for (std::size_t i = 0; i < model.pool.discover.size(); ++i)
      lines.push_back(
          fmt::format("models[{}].discover[{}]: {}", model.name, i, asks(model.pool.discover[i])));
  }
  for (std::size_t i = 0; i < config.registers.size(); ++i)
    lines.push_back(fmt::format("register[{}]: {}", i, asks(config.registers[i])));
  if (config.center) lines.push_back("center: " + asks(*config.center));
  return lines;
}

config::Descriptor<AppConfig> describe_app() {
  using C = AppConfig;
  return config::Descriptor<C>("open-autoglm", "The configuration of `open-autoglm serve`.")
      .section("server", &C::server, describe_server())
      .section("models", &C::models, describe_model(), {.live = true, .identity = "name"})
      .section("telemetry", &C::telemetry, describe_telemetry())
      .section("responses", &C::responses, describe_responses())
      .include(&C::admission, describe_admission())
      .section("center", &C::center, center::describe_center())
      .section("register", &C::registers, cluster::describe_register(), {.live = true})
      .check(check_app)
      .warn(app_warnings);
}

}  // namespace autoglm::app
