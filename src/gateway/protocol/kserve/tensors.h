#pragma once

#include "base/result.h"
#include "gateway/protocol/json/value.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::protocol::kserve {

/// An input tensor of a request: texts (BYTES) or flags (BOOL), whatever its shape says of rows and columns.
struct Tensor {
  std::string name;
  std::string datatype;
  std::uint64_t size = 0;                  ///< elements, by its shape
  std::optional<std::size_t> binary_size;  ///< bytes behind the JSON; absent: its data stand in it
  std::vector<std::string> texts;
  std::vector<bool> flags;
};

/// An output that a request asks for.
struct WantedOutput {
  std::string name;
  std::optional<bool> binary;  ///< absent: as the request says of all
};

/// One of "inputs".
Result<Tensor> read_tensor(const JsonValue& value);
/// Takes the tensor's elements from the front of `binary` (Triton's binary tensor data: little-endian, a text
/// with its length before it). Errors: kInvalidArgument, with the tensor's name.
Result<void> take_binary(Tensor& tensor, std::string_view& binary);
/// One of "outputs".
Result<WantedOutput> read_output(const JsonValue& value);

/// Appends a text, or a number, as binary tensor data.
void append_binary(std::string& out, std::string_view text);
void append_binary(std::string& out, std::uint32_t number);
void append_binary(std::string& out, float number);

}  // namespace autoglm::protocol::kserve
