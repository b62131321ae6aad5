#pragma once

#include "inference/request.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

namespace autoglm::engine {

/// The tokens that a grammar allows next. Belongs to one thread at a time.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  virtual std::unique_ptr<TokenConstraint> clone() const = 0;
  /// Memory that a clone takes, approximately.
  virtual std::size_t bytes() const = 0;
  virtual bool allows(TokenId token) const = 0;
  /// Sets the logits of forbidden tokens to minus infinity. Returns an allowed token; nothing when none is
  /// allowed, because the format contradicts itself.
  virtual std::optional<TokenId> mask(std::span<float> logits) const = 0;
  /// Advances the grammar by `token`, which it must allow.
  virtual void accept(TokenId token) = 0;
};

}  // namespace autoglm::engine
