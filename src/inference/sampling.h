#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm {

using TokenId = std::int32_t;

/// The numbers that say how the next token is chosen, as far as one source has them: a model's file, the
/// configuration, a request. An absent number is left to the next source. Each reader of a source checks the
/// ranges.
struct SamplingNumbers {
  std::optional<double> temperature;  ///< 0: greedy
  std::optional<double> top_p;
  std::optional<std::int32_t> top_k;  ///< 0: off
  std::optional<double> min_p;
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
  std::optional<double> repetition_penalty;  ///< 1: off

  bool operator==(const SamplingNumbers&) const = default;
};

/// What a request says: the numbers, and parameters for which no model has defaults.
struct SamplingRequest : SamplingNumbers {
  std::optional<std::uint64_t> seed;  ///< absent: a fresh one a request
  std::vector<std::pair<TokenId, float>> logit_bias;
  std::vector<TokenId> allowed_tokens;         ///< no others; empty: all
  std::optional<double> typical_p;             ///< 1: off
  std::optional<double> top_n_sigma;           ///< 0 or less: off
  std::optional<std::int32_t> penalty_window;  ///< how many of the last tokens penalties count; -1: all
};

/// How the next token is chosen, all of it. The initial values are plain sampling, which OpenAI and vLLM do
/// unless told otherwise: the model's own distribution.
struct SamplingParams {
  double temperature = 1.0;
  double top_p = 1.0;
  std::int32_t top_k = 0;
  double min_p = 0.0;
  double presence_penalty = 0.0;
  double frequency_penalty = 0.0;
  double repetition_penalty = 1.0;
  double typical_p = 1.0;
  double top_n_sigma = 0.0;
  std::int32_t penalty_window = -1;
};

/// The values that a number may have.
struct SamplingRange {
  double min;
  double max;
  bool above_min = false;  ///< `min` itself is excluded

  bool contains(double value) const { return value <= max && (above_min ? value > min : value >= min); }
};

/// Calls `visit(name, member of SamplingNumbers, member of SamplingParams, range)` for each number, by the
/// name that requests, configurations and generation_config.json have for it.
template <class Visit>
void for_each_sampling_number(Visit&& visit) {
  using N = SamplingNumbers;
  using P = SamplingParams;
  visit("temperature", &N::temperature, &P::temperature, SamplingRange{0, 2});
  visit("top_p", &N::top_p, &P::top_p, SamplingRange{0, 1, true});
  visit("top_k", &N::top_k, &P::top_k, SamplingRange{0, INT32_MAX});
  visit("min_p", &N::min_p, &P::min_p, SamplingRange{0, 1});
  visit("presence_penalty", &N::presence_penalty, &P::presence_penalty, SamplingRange{-2, 2});
  visit("frequency_penalty", &N::frequency_penalty, &P::frequency_penalty, SamplingRange{-2, 2});
  visit("repetition_penalty", &N::repetition_penalty, &P::repetition_penalty, SamplingRange{0, 10, true});
}

/// Sets the number called `name`. Errors, worded to follow the name: there is no such number, it is out of
/// range, it has to be whole.
std::optional<std::string> set_sampling_number(SamplingNumbers& numbers, std::string_view name, double value);

/// `params`, replaced by `numbers` where these are present.
SamplingParams with(SamplingParams params, const SamplingNumbers& numbers);
/// The same, with the parameters that only requests have.
SamplingParams with(SamplingParams params, const SamplingRequest& request);

/// What one source says.
struct SamplingLayer {
  std::string source;  ///< as `/v1/models` names it
  SamplingNumbers numbers;
};

/// A number's default, and the source that has it.
struct SamplingDefault {
  std::string name;
  double value = 0;
  std::string source;

  bool operator==(const SamplingDefault&) const = default;
};

/// The layers on top of plain sampling; a later layer wins, number by number.
SamplingParams merge(const std::vector<SamplingLayer>& layers);
/// The same, as all numbers with their sources, which is "plain" for a number of no layer.
std::vector<SamplingDefault> explain(const std::vector<SamplingLayer>& layers);

}  // namespace autoglm
