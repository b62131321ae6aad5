#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace autoglm::gateway {

/// Finds a subject by a view of its name.
struct SubjectHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view subject) const { return std::hash<std::string_view>{}(subject); }
};

template <class T>
using BySubject = std::unordered_map<std::string, T, SubjectHash, std::equal_to<>>;

/// A table's parts, each with its mutex, so that subjects of different stripes do not wait for each other.
template <class Stripe>
class Striped {
 public:
  static constexpr std::size_t kMost = 64;

  /// The stripe of a subject, of the first `used`, a power of two. The hash's low bits choose it: the maps
  /// inside take the remainder by a prime, or mix the bits once more.
  Stripe& of(std::string_view subject, std::size_t used = kMost) {
    return stripes_[SubjectHash{}(subject) & (used - 1)];
  }

  auto begin() { return stripes_.begin(); }
  auto end() { return stripes_.end(); }

 private:
  std::array<Stripe, kMost> stripes_;
};

}  // namespace autoglm::gateway
