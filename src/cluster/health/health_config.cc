#include "cluster/health/health_config.h"

namespace autoglm::cluster {

config::Descriptor<HealthConfig> describe_health() {
  using C = HealthConfig;
  return config::Descriptor<C>("health", "How endpoints are watched.")
      .field(
          "path", &C::path,
          {.doc = "What is asked for, at the server's root; a 2xx is health. Empty: a connection is enough."})
      .field("interval", &C::interval,
             {.doc = "Between two checks, give or take a tenth.", .min = 0.01, .max = 86'400})
      .field("timeout", &C::timeout, {.doc = "For each.", .min = 0.001, .max = 3600})
      .field("unhealthy_after", &C::unhealthy_after,
             {.doc = "Misses in a row that take an endpoint out.", .min = 1, .max = 1000})
      .field("healthy_after", &C::healthy_after,
             {.doc = "Successes in a row that bring it back.", .min = 1, .max = 1000})
      .field("slow_start", &C::slow_start,
             {.doc = "How long an endpoint that came back takes from a tenth of its share to all of it. 0: "
                     "all at once.",
              .max = 3600})
      .field("panic_percent", &C::panic_percent,
             {.doc = "When fewer of the endpoints are well, all are asked: checks can be wrong, and the few "
                     "would break under everybody's load. 0: only when none is well.",
              .max = 100});
}

config::Descriptor<EjectionConfig> describe_ejection() {
  using C = EjectionConfig;
  return config::Descriptor<C>("ejection",
                               "Leaves out endpoints that fail requests; Envoy's outlier detection.")
      .field("consecutive_failures", &C::consecutive_failures,
             {.doc = "Failures in a row that leave an endpoint out. 0: none do.", .max = 1'000'000})
      .field("base_time", &C::base_time,
             {.doc = "For how long, the first time; twice that the second, and so on.",
              .min = 0.001,
              .max = 86'400})
      .field("max_time", &C::max_time, {.doc = "At most.", .min = 0.001, .max = 86'400})
      .field("max_percent", &C::max_percent,
             {.doc = "Share of a model's endpoints that may be out like this at a time.", .max = 100})
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (c.max_time < c.base_time) wrong.push_back({"max_time", "is below `base_time`"});
        return wrong;
      });
}

}  // namespace autoglm::cluster
