#pragma once

#include <cstdint>
#include <string_view>

namespace autoglm::journal {

/// CRC-32C (Castagnoli) of `bytes`, continued from `before`: the checksum of two texts in a row is
/// `crc32c(second, crc32c(first))`. By the processor's instruction where there is one. Thread-safe.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t before = 0);

/// The same without the instruction. For processors that lack it, and for the test that compares both.
std::uint32_t crc32c_by_table(std::string_view bytes, std::uint32_t before = 0);

}  // namespace autoglm::journal
