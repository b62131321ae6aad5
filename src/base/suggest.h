#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace autoglm {

/// How many letters must be inserted, removed, replaced or swapped with their neighbour to turn `a` into `b`
/// (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate most likely meant by `text`: the nearest one, if its distance is at most a third of the
/// candidate's length, or 1.
std::optional<std::string> nearest(std::string_view text, std::span<const std::string> candidates);

}  // namespace autoglm
