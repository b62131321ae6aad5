#pragma once

#include <span>
#include <string>
#include <string_view>

namespace autoglm::observe {

/// Merges several texts of Prometheus' format: each family once, sorted by name, with its help and type from
/// the first text that has it. Lines outside any family are left out.
std::string merge_expositions(std::span<const std::string> texts);

/// The families of `text` whose names begin with one of `prefixes`.
std::string families_of(std::string_view text, std::span<const std::string_view> prefixes);

}  // namespace autoglm::observe
