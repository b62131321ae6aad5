#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace autoglm {

/// A number that cannot be mistaken for another kind of number: `using SequenceId =
/// StrongId<struct SequenceIdTag>`.
template <class Tag, class Rep = std::uint64_t>
struct StrongId {
  Rep value{};
  friend constexpr auto operator<=>(const StrongId&, const StrongId&) = default;
};

}  // namespace autoglm

template <class Tag, class Rep>
struct std::hash<autoglm::StrongId<Tag, Rep>> {
  std::size_t operator()(const autoglm::StrongId<Tag, Rep>& id) const noexcept {
    return std::hash<Rep>{}(id.value);
  }
};
