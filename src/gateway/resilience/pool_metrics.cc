#include "gateway/resilience/pool_metrics.h"

namespace autoglm::gateway {

PoolMetrics::PoolMetrics(observe::MetricRegistry& registry, const std::string& model)
    : retries(registry.counter("autoglm_retries_total", "Requests that were asked of a further endpoint.",
                               {{"model", model}})),
      retries_refused(registry.counter("autoglm_retries_refused_total",
                                       "Retries that the budget did not allow.", {{"model", model}})),
      resumed(registry.counter("autoglm_resumes_total",
                               "Streams that broke, by whether another endpoint went on.",
                               {{"model", model}, {"outcome", "ok"}})),
      not_resumed(registry.counter("autoglm_resumes_total",
                                   "Streams that broke, by whether another endpoint went on.",
                                   {{"model", model}, {"outcome", "failed"}})),
      hedges(registry.counter("autoglm_hedges_total",
                              "Requests that were asked of a second endpoint while the first was silent.",
                              {{"model", model}})),
      hedges_won(registry.counter("autoglm_hedges_won_total", "Hedges whose second endpoint was faster.",
                                  {{"model", model}})),
      panics(registry.counter("autoglm_panic_picks_total",
                              "Endpoints that were asked while too few were well to tell by that.",
                              {{"model", model}})),
      fallbacks(registry.counter("autoglm_fallbacks_total", "Requests that another model answered.",
                                 {{"model", model}})),
      static_answers(registry.counter("autoglm_static_answers_total",
                                      "Requests that the configured answer was given to.",
                                      {{"model", model}})) {}

}  // namespace autoglm::gateway
