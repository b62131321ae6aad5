#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

/// Shared by all fuzzers: `extern "C" int LLVMFuzzerTestOneInput(...)` reads one input and states with
/// `expect` what must hold for any input. In presets without a fuzzing engine the same file replays the kept
/// corpus.
namespace autoglm::fuzzing {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return size == 0 ? std::string_view("") : std::string_view(reinterpret_cast<const char*>(data), size);
}

/// Ends the process, which is how a fuzzer reports a finding.
inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

}  // namespace autoglm::fuzzing
