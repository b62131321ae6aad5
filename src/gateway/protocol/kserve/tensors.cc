#include "gateway/protocol/kserve/tensors.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <bit>
#include <utility>

namespace autoglm::protocol::kserve {

namespace {

constexpr std::size_t kMostDimensions = 8;
constexpr std::uint64_t kMostElements = 256;  // as many as a completion takes prompts

Error wrong_tensor(const Tensor& tensor, std::string_view what) {
  return invalid_field(tensor.name, fmt::format("the input \"{}\" {}", tensor.name, what));
}

Result<void> read_shape(const JsonValue& value, Tensor& tensor) {
  if (!value.is_array() || value.item_count() == 0 || value.item_count() > kMostDimensions)
    return fail(value.wrong("a list of 1 to 8 numbers"));
  tensor.size = 1;
  return value.for_each_item([&](const JsonValue& item) -> Result<void> {
    const auto length = item.as_integer(0, static_cast<std::int64_t>(kMostElements));
    if (!length) return fail(length.error());
    tensor.size *= static_cast<std::uint64_t>(*length);
    if (tensor.size <= kMostElements) return {};
    return fail(value.wrong(fmt::format("of at most {} elements", kMostElements)));
  });
}

Result<void> read_element(const JsonValue& value, Tensor& tensor) {
  if (const auto flag = value.as_bool()) {
    tensor.flags.push_back(*flag);
    return {};
  }
  auto text = value.as_string();
  if (!text) return fail(value.wrong("a text or a flag"));
  tensor.texts.push_back(std::move(*text));
  return {};
}

/// Flat, or a list of rows.
Result<void> read_data(const JsonValue& value, Tensor& tensor) {
  tensor.texts.clear();
  tensor.flags.clear();
  return value.for_each_item([&](const JsonValue& item) -> Result<void> {
    if (!item.is_array()) return read_element(item, tensor);
    return item.for_each_item([&](const JsonValue& inner) { return read_element(inner, tensor); });
  });
}

Result<void> read_input_parameters(const JsonValue& value, Tensor& tensor) {
  return value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key.starts_with("shared_memory"))
      return fail(invalid_field(item.path(), item.path() + " is not supported: send the data themselves"));
    if (key != "binary_data_size") return {};
    const auto size = item.as_integer(0, std::int64_t{1} << 40U);
    if (!size) return fail(size.error());
    tensor.binary_size = static_cast<std::size_t>(*size);
    return {};
  });
}

Result<void> check(const Tensor& tensor, const JsonValue& value, bool has_data) {
  if (tensor.name.empty())
    return fail(invalid_field(value.path() + ".name", value.path() + ".name is missing"));
  if (tensor.datatype != "BYTES" && tensor.datatype != "BOOL")
    return fail(wrong_tensor(tensor, "must have the datatype BYTES or BOOL"));
  if (has_data == tensor.binary_size.has_value())
    return fail(
        wrong_tensor(tensor, has_data ? "has data and a binary_data_size: send one of them" : "has no data"));
  if (!has_data) return {};
  const bool texts = tensor.datatype == "BYTES";
  const auto& [right, other] = std::pair(texts ? tensor.texts.size() : tensor.flags.size(),
                                         texts ? tensor.flags.size() : tensor.texts.size());
  if (other > 0) return fail(wrong_tensor(tensor, "has data that are not of its datatype"));
  if (right != tensor.size)
    return fail(
        wrong_tensor(tensor, fmt::format("has {} elements, and its shape says {}", right, tensor.size)));
  return {};
}

std::uint32_t number_at(std::string_view bytes) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < 4; ++i)
    number |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return number;
}

}  // namespace

Result<Tensor> read_tensor(const JsonValue& value) {
  Tensor tensor;
  bool has_data = false;
  auto read = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null()) return {};
    if (key == "name") return item.read_string(tensor.name);
    if (key == "datatype") return item.read_string(tensor.datatype);
    if (key == "shape") return read_shape(item, tensor);
    if (key == "parameters") return read_input_parameters(item, tensor);
    if (key != "data") return {};
    has_data = true;
    return read_data(item, tensor);
  });
  if (!read) return fail(read.error());
  if (auto checked = check(tensor, value, has_data); !checked) return fail(checked.error());
  return tensor;
}

Result<void> take_binary(Tensor& tensor, std::string_view& binary) {
  if (*tensor.binary_size > binary.size())
    return fail(wrong_tensor(tensor, "has fewer bytes behind the JSON than its binary_data_size says"));
  std::string_view data = binary.substr(0, *tensor.binary_size);
  binary.remove_prefix(*tensor.binary_size);
  if (tensor.datatype == "BOOL") {
    for (const char byte : data) tensor.flags.push_back(byte != 0);
    if (tensor.flags.size() != tensor.size)
      return fail(wrong_tensor(tensor, "has not as many bytes as its shape says"));
    return {};
  }
  while (!data.empty() && tensor.texts.size() < tensor.size) {
    const std::size_t length = data.size() < 4 ? data.size() : number_at(data);
    if (data.size() < 4 || length > data.size() - 4)
      return fail(wrong_tensor(tensor, "is cut: a text is shorter than the length before it"));
    const std::string_view text = data.substr(4, length);
    if (!simdjson::validate_utf8(text)) return fail(wrong_tensor(tensor, "must be UTF-8"));
    tensor.texts.emplace_back(text);
    data.remove_prefix(4 + length);
  }
  if (!data.empty() || tensor.texts.size() != tensor.size)
    return fail(wrong_tensor(tensor, "has not as many texts as its shape says"));
  return {};
}

Result<WantedOutput> read_output(const JsonValue& value) {
  WantedOutput output;
  auto read = value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (item.is_null()) return {};
    if (key == "name") return item.read_string(output.name);
    if (key != "parameters") return {};
    return item.for_each_member([&](std::string_view name, const JsonValue& part) -> Result<void> {
      if (name.starts_with("shared_memory"))
        return fail(invalid_field(part.path(), part.path() + " is not supported: the answer has the data"));
      if (name != "binary_data") return {};
      const auto flag = part.as_bool();
      if (!flag) return fail(flag.error());
      output.binary = *flag;
      return {};
    });
  });
  if (!read) return fail(read.error());
  return output;
}

void append_binary(std::string& out, std::uint32_t number) {
  for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>((number >> shift) & 0xFFU);
}

void append_binary(std::string& out, std::string_view text) {
  append_binary(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

void append_binary(std::string& out, float number) {
  append_binary(out, std::bit_cast<std::uint32_t>(number));
}

}  // namespace autoglm::protocol::kserve
