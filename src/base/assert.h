#pragma once

#include <string_view>

namespace autoglm {

/// Prints where and why, then aborts.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line, std::string_view why);

}  // namespace autoglm

/// For the programmer's errors, never for input. On in production: a server whose invariants are
/// broken must stop rather than answer.
#define AUTOGLM_ASSERT(condition, why)                                    \
  do {                                                                    \
    if (!(condition)) [[unlikely]]                                        \
      ::autoglm::assertion_failed(#condition, __FILE__, __LINE__, (why)); \
  } while (false)
