#pragma once

#include <ggml.h>
#include <gguf.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace autoglm::engine {

using MetadataValue = std::variant<float, std::int32_t, std::uint32_t, std::string>;

/// Writes the GGUF file `from` to `to` with `more` in its metadata. False: it could not be read or written.
inline bool write_with_metadata(const std::string& from, const std::string& to,
                                const std::vector<std::pair<std::string, MetadataValue>>& more) {
  using File = std::unique_ptr<gguf_context, decltype(&gguf_free)>;
  ggml_context* data = nullptr;
  const File read(gguf_init_from_file(from.c_str(), {.no_alloc = false, .ctx = &data}), gguf_free);
  if (!read) return false;
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> tensors(data, ggml_free);
  const File file(gguf_init_empty(), gguf_free);
  gguf_set_kv(file.get(), read.get());
  for (std::int64_t i = 0; i < gguf_get_n_tensors(read.get()); ++i)
    gguf_add_tensor(file.get(), ggml_get_tensor(data, gguf_get_tensor_name(read.get(), i)));
  for (const auto& [key, value] : more) {
    if (const auto* number = std::get_if<float>(&value)) gguf_set_val_f32(file.get(), key.c_str(), *number);
    if (const auto* number = std::get_if<std::int32_t>(&value))
      gguf_set_val_i32(file.get(), key.c_str(), *number);
    if (const auto* number = std::get_if<std::uint32_t>(&value))
      gguf_set_val_u32(file.get(), key.c_str(), *number);
    if (const auto* text = std::get_if<std::string>(&value))
      gguf_set_val_str(file.get(), key.c_str(), text->c_str());
  }
  return gguf_write_to_file(file.get(), to.c_str(), false);
}

}  // namespace autoglm::engine
