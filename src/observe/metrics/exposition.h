#pragma once

#include <span>
#include <string>
#include <string_view>

namespace autoglm::observe {

/// Several texts of Prometheus' format as one: each family once, sorted by name, its help and type as the
/// first text that has it says. What is in no family is left out.
std::string merge_expositions(std::span<const std::string> texts);

/// The families of `text` whose names begin with one of `prefixes`.
std::string families_of(std::string_view text, std::span<const std::string_view> prefixes);

}  // namespace autoglm::observe
