#pragma once

#include "base/error.h"

#include <expected>
#include <utility>

namespace autoglm {

/// A value, or the Error in its place. Functions of this project report bad input in no other way; exceptions
/// of third-party code stop at the adapter that called it.
template <class T>
using Result = std::expected<T, Error>;

/// `return fail(error)` and `co_return fail(error)`, from a function of any Result type.
inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>(std::move(error)); }

inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
  return std::unexpected<Error>(Error{.code = code, .message = std::move(message)});
}

}  // namespace autoglm
