#pragma once

#include "base/result.h"

#include <cstddef>
#include <string_view>

namespace autoglm::engine {

/// How many of a file's first bytes are enough to recognize its format.
inline constexpr std::size_t kFormatBytes = 512;

/// Checks whether a file that begins with `bytes` (at least `kFormatBytes`, or the whole file) is a model in
/// a format that this program loads. Errors: kDataLoss, saying what it is instead: a web page, a Git LFS
/// pointer, weights in another format. `from` is the file's source.
Result<void> check_format(std::string_view bytes, std::string_view from);

}  // namespace autoglm::engine
