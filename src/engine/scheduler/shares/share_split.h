#pragma once

#include <span>
#include <vector>

namespace autoglm::engine {

/// What one of several groups may have of a whole.
struct SharePart {
  double share = 0;   ///< at least
  double max = 1;     ///< at most
  double weight = 1;  ///< against the others
};

/// Splits 1 among groups that all want more than they get: by weight, but none gets less than its share, nor
/// more than its maximum. The parts add up to 1, unless the shares exceed it or the maxima are below it. No
/// part is zero.
std::vector<double> split_by_shares(std::span<const SharePart> parts);

}  // namespace autoglm::engine
