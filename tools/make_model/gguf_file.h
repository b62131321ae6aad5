#pragma once

#include "base/result.h"

#include <gguf.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::make_model {

/// One weight matrix (or vector: `rows` = 1) as GGUF declares it: ggml's order, rows of `columns` contiguous
/// values.
struct TensorSpec {
  std::string name;
  ggml_type type = GGML_TYPE_F32;
  std::int64_t columns = 0;
  std::int64_t rows = 1;
};

/// Fills one row of one tensor, in f32; the writer quantizes it. Called tensor by tensor as declared, rows in
/// order: a generator may therefore keep a running state.
using FillRow = std::function<void(const TensorSpec& tensor, std::int64_t row, std::span<float> values)>;

/// A GGUF file being made: first metadata and declarations, then the weights, streamed in chunks of rows, so
/// that memory stays bounded whatever the size of the model. Single-threaded.
class GgufFile {
 public:
  GgufFile() : context_(gguf_init_empty(), gguf_free) {}

  void set(const std::string& key, std::uint32_t value) {
    gguf_set_val_u32(context_.get(), key.c_str(), value);
  }
  void set(const std::string& key, float value) { gguf_set_val_f32(context_.get(), key.c_str(), value); }
  void set(const std::string& key, bool value) { gguf_set_val_bool(context_.get(), key.c_str(), value); }
  void set(const std::string& key, const char* value) {
    gguf_set_val_str(context_.get(), key.c_str(), value);
  }
  void set(const std::string& key, const std::vector<std::string>& values);
  void set(const std::string& key, std::span<const std::int32_t> values);

  /// A matrix in `type`; ggml wants `columns` to be a multiple of the type's block.
  void add_matrix(std::string name, ggml_type type, std::int64_t columns, std::int64_t rows);
  /// A vector is always f32, as llama.cpp wants norms and biases.
  void add_vector(std::string name, std::int64_t columns);

  /// Writes to `path`.part and renames it to `path`, so that half a model is never loaded. Errors: kInternal
  /// with the reason when the disk fails.
  Result<std::uint64_t> write(const std::string& path, const FillRow& fill) const;

 private:
  void declare(const TensorSpec& spec, int dimensions);

  std::unique_ptr<gguf_context, void (*)(gguf_context*)> context_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace autoglm::make_model
