#pragma once

#include "base/result.h"

#include <cstddef>
#include <string_view>

namespace autoglm::engine {

/// Bytes of a file's beginning that are enough to tell what it is.
inline constexpr std::size_t kFormatBytes = 512;

/// Whether a file that begins with `bytes` (at least `kFormatBytes`, or all of it) is a model in a format
/// that this program loads. Errors: kDataLoss that says what it is instead: a web page, a pointer of Git LFS,
/// weights in another format. `from` is where it came from.
Result<void> check_format(std::string_view bytes, std::string_view from);

}  // namespace autoglm::engine
