#include "gguf_file.h"

#include "base/assert.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace autoglm::make_model {
namespace {

/// About 4 MB of f32 at a time, whatever the tensor.
constexpr std::int64_t kValuesAtOnce = std::int64_t{1} << 20U;

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

Error file_error(const std::string& path, const char* what) {
  return Error{.code = ErrorCode::kInternal,
               .message = path + ": cannot " + what + ": " + std::strerror(errno)};
}

bool append_tensor(std::FILE* file, const TensorSpec& tensor, const FillRow& fill) {
  const std::int64_t rows_at_once = std::max<std::int64_t>(1, kValuesAtOnce / tensor.columns);
  const std::size_t row_bytes = ggml_row_size(tensor.type, tensor.columns);
  std::vector<float> values(static_cast<std::size_t>(std::min(rows_at_once, tensor.rows) * tensor.columns));
  std::vector<std::byte> encoded(static_cast<std::size_t>(std::min(rows_at_once, tensor.rows)) * row_bytes);

  for (std::int64_t first = 0; first < tensor.rows; first += rows_at_once) {
    const std::int64_t count = std::min(rows_at_once, tensor.rows - first);
    for (std::int64_t i = 0; i < count; ++i) {
      fill(tensor, first + i,
           std::span(values).subspan(static_cast<std::size_t>(i * tensor.columns),
                                     static_cast<std::size_t>(tensor.columns)));
    }
    const std::size_t bytes =
        ggml_quantize_chunk(tensor.type, values.data(), encoded.data(), 0, count, tensor.columns, nullptr);
    if (std::fwrite(encoded.data(), 1, bytes, file) != bytes) return false;
  }

  const std::size_t size = static_cast<std::size_t>(tensor.rows) * row_bytes;
  static constexpr std::byte kZeros[GGUF_DEFAULT_ALIGNMENT] = {};
  const std::size_t padding = GGML_PAD(size, GGUF_DEFAULT_ALIGNMENT) - size;
  return std::fwrite(kZeros, 1, padding, file) == padding;
}

}  // namespace

void GgufFile::set(const std::string& key, const std::vector<std::string>& values) {
  std::vector<const char*> pointers;
  pointers.reserve(values.size());
  for (const std::string& value : values) pointers.push_back(value.c_str());
  gguf_set_arr_str(context_.get(), key.c_str(), pointers.data(), pointers.size());
}

void GgufFile::set(const std::string& key, std::span<const std::int32_t> values) {
  gguf_set_arr_data(context_.get(), key.c_str(), GGUF_TYPE_INT32, values.data(), values.size());
}

void GgufFile::add_matrix(std::string name, ggml_type type, std::int64_t columns, std::int64_t rows) {
  declare({.name = std::move(name), .type = type, .columns = columns, .rows = rows}, 2);
}

void GgufFile::add_vector(std::string name, std::int64_t columns) {
  declare({.name = std::move(name), .type = GGML_TYPE_F32, .columns = columns, .rows = 1}, 1);
}

void GgufFile::declare(const TensorSpec& spec, int dimensions) {
  AUTOGLM_ASSERT(spec.columns % ggml_blck_size(spec.type) == 0,
                 "a row must consist of whole quantization blocks");
  // gguf copies name, type and shape from a ggml tensor; the tensor's context needs no room for data.
  const ggml_init_params params = {
      .mem_size = ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true};
  const std::unique_ptr<ggml_context, void (*)(ggml_context*)> lender(ggml_init(params), ggml_free);
  const std::int64_t shape[] = {spec.columns, spec.rows};
  ggml_tensor* tensor = ggml_new_tensor(lender.get(), spec.type, dimensions, shape);
  ggml_set_name(tensor, spec.name.c_str());
  gguf_add_tensor(context_.get(), tensor);
  tensors_.push_back(spec);
}

Result<std::uint64_t> GgufFile::write(const std::string& path, const FillRow& fill) const {
  const std::string part = path + ".part";
  File file(std::fopen(part.c_str(), "wb"), std::fclose);
  if (!file) return fail(file_error(part, "create"));
  if (!gguf_write_to_file_ptr(context_.get(), file.get(), /*only_meta=*/true))
    return fail(file_error(part, "write"));
  for (const TensorSpec& tensor : tensors_) {
    if (!append_tensor(file.get(), tensor, fill)) {
      const Error error = file_error(part, "write");
      std::remove(part.c_str());
      return fail(error);
    }
  }
  const auto size = static_cast<std::uint64_t>(std::ftell(file.get()));
  if (std::fclose(file.release()) != 0 || std::rename(part.c_str(), path.c_str()) != 0) {
    return fail(file_error(path, "write"));
  }
  return size;
}

}  // namespace autoglm::make_model
