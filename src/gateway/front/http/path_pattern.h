#pragma once

#include <string_view>

namespace autoglm::gateway {

/// The paths of a route: the one path that it names, or with an empty name any path; with a trailing slash,
/// all below it, too; with one
/// `{name}` in it, those with anything at that place, slashes included, since models' names have them. Views
/// into the route's path.
class PathPattern {
 public:
  explicit constexpr PathPattern(std::string_view path) : head_(path) {
    const auto open = path.find('{');
    const auto close = path.find('}', open);
    if (open != std::string_view::npos && close != std::string_view::npos) {
      head_ = path.substr(0, open);
      tail_ = path.substr(close + 1);
      kind_ = Kind::kPlaced;
    } else if (path.empty()) {
      kind_ = Kind::kAny;
    } else if (path.size() > 1 && path.ends_with('/')) {
      kind_ = Kind::kBelow;
    }
  }

  constexpr bool matches(std::string_view path) const {
    if (kind_ == Kind::kOne) return path == head_;
    if (kind_ == Kind::kAny) return true;
    if (kind_ == Kind::kBelow) return path.starts_with(head_);
    return path.size() > head_.size() + tail_.size() && path.starts_with(head_) && path.ends_with(tail_);
  }
  /// What stands in a matching path at the place of the name.
  constexpr std::string_view placed(std::string_view path) const {
    return path.substr(head_.size(), path.size() - head_.size() - tail_.size());
  }
  /// Whether it takes all that `other` takes because it has no end of its own.
  constexpr bool is_wider_than(const PathPattern& other) const {
    return kind_ == Kind::kPlaced && other.kind_ == Kind::kPlaced && tail_.empty() && !other.tail_.empty() &&
           head_ == other.head_;
  }

 private:
  enum class Kind : unsigned char { kOne, kBelow, kPlaced, kAny };
  std::string_view head_;
  std::string_view tail_;
  Kind kind_ = Kind::kOne;
};

}  // namespace autoglm::gateway
