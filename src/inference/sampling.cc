#include "inference/sampling.h"

#include <cmath>
#include <limits>
#include <type_traits>

#include <fmt/format.h>

namespace autoglm {

std::optional<std::string> set_sampling_number(SamplingNumbers& numbers, std::string_view name,
                                               double value) {
  std::optional<std::string> wrong = "is no number of sampling";
  for_each_sampling_number([&](std::string_view each, auto member, auto, const SamplingRange& range) {
    if (each != name) return;
    using Value = std::remove_reference_t<decltype(numbers.*member)>::value_type;
    wrong.reset();
    if (!range.contains(value)) {
      wrong = range.max == std::numeric_limits<std::int32_t>::max()
                  ? fmt::format("must be at least {:g}, got {:g}", range.min, value)
                  : fmt::format("must be {} {:g} and at most {:g}, got {:g}",
                                range.above_min ? "above" : "at least", range.min, range.max, value);
    } else if (std::is_integral_v<Value> && std::trunc(value) != value) {
      wrong = fmt::format("must be a whole number, got {:g}", value);
    } else {
      numbers.*member = static_cast<Value>(value);
    }
  });
  return wrong;
}

SamplingParams with(SamplingParams params, const SamplingNumbers& numbers) {
  for_each_sampling_number([&](std::string_view, auto from, auto to, const SamplingRange&) {
    if (numbers.*from) params.*to = *(numbers.*from);
  });
  return params;
}

SamplingParams with(SamplingParams params, const SamplingRequest& request) {
  params = with(params, static_cast<const SamplingNumbers&>(request));
  params.typical_p = request.typical_p.value_or(params.typical_p);
  params.top_n_sigma = request.top_n_sigma.value_or(params.top_n_sigma);
  params.penalty_window = request.penalty_window.value_or(params.penalty_window);
  return params;
}

SamplingParams merge(const std::vector<SamplingLayer>& layers) {
  SamplingParams params;
  for (const SamplingLayer& layer : layers) params = with(params, layer.numbers);
  return params;
}

std::vector<SamplingDefault> explain(const std::vector<SamplingLayer>& layers) {
  std::vector<SamplingDefault> defaults;
  const SamplingParams merged = merge(layers);
  for_each_sampling_number([&](std::string_view name, auto from, auto to, const SamplingRange&) {
    SamplingDefault& number = defaults.emplace_back(std::string(name), merged.*to, "plain");
    for (const SamplingLayer& layer : layers) {
      if (layer.numbers.*from) number.source = layer.source;
    }
  });
  return defaults;
}

}  // namespace autoglm
