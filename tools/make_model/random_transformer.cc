#include "random_transformer.h"

#include "gguf_file.h"
#include "random_weights.h"
#include "vocabulary.h"

#include "base/random.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

namespace autoglm::make_model {
namespace {

std::uint32_t file_type(ggml_type type) {
  switch (type) {  // enum llama_ftype
    case GGML_TYPE_F32:
      return 0;
    case GGML_TYPE_Q4_0:
      return 2;
    case GGML_TYPE_Q8_0:
      return 7;
    default:
      return 1024;  // "guessed"
  }
}

void describe(GgufFile& file, const TransformerShape& shape, ggml_type type) {
  const std::string prefix = std::string(shape.architecture) + ".";
  const auto set = [&](const char* key, int value) {
    file.set(prefix + key, static_cast<std::uint32_t>(value));
  };
  file.set("general.architecture", shape.architecture);
  file.set("general.type", "model");
  file.set("general.name", shape.name);
  file.set("general.license", "apache-2.0");
  file.set("general.file_type", file_type(type));
  file.set("general.quantization_version", std::uint32_t{2});
  set("context_length", shape.context);
  set("embedding_length", shape.embedding);
  set("block_count", shape.layers);
  set("feed_forward_length", shape.feed_forward);
  set("attention.head_count", shape.heads);
  set("attention.head_count_kv", shape.kv_heads);
  set("rope.dimension_count", shape.embedding / shape.heads);
  set("vocab_size", shape.vocabulary);
  file.set(prefix + "rope.freq_base", shape.rope_base);
  file.set(prefix + "attention.layer_norm_rms_epsilon", 1e-6F);
  describe_vocabulary(build_vocabulary(shape.vocabulary), file);
}

void declare(GgufFile& file, const TransformerShape& shape, ggml_type type) {
  const int kv = shape.embedding / shape.heads * shape.kv_heads;
  file.add_matrix("token_embd.weight", type, shape.embedding, shape.vocabulary);
  file.add_vector("output_norm.weight", shape.embedding);
  for (int layer = 0; layer < shape.layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    file.add_vector(block + "attn_norm.weight", shape.embedding);
    file.add_matrix(block + "attn_q.weight", type, shape.embedding, shape.embedding);
    file.add_matrix(block + "attn_k.weight", type, shape.embedding, kv);
    file.add_matrix(block + "attn_v.weight", type, shape.embedding, kv);
    if (std::string_view(shape.architecture) == "qwen2") {
      file.add_vector(block + "attn_q.bias", shape.embedding);
      file.add_vector(block + "attn_k.bias", kv);
      file.add_vector(block + "attn_v.bias", kv);
    }
    file.add_matrix(block + "attn_output.weight", type, shape.embedding, shape.embedding);
    file.add_vector(block + "ffn_norm.weight", shape.embedding);
    file.add_matrix(block + "ffn_gate.weight", type, shape.embedding, shape.feed_forward);
    file.add_matrix(block + "ffn_up.weight", type, shape.embedding, shape.feed_forward);
    file.add_matrix(block + "ffn_down.weight", type, shape.feed_forward, shape.embedding);
  }
}

}  // namespace

Result<std::uint64_t> write_random_transformer(const std::string& path, const TransformerShape& shape,
                                               ggml_type type, std::uint64_t seed) {
  GgufFile file;
  describe(file, shape, type);
  declare(file, shape, type);
  Random random(seed);
  return file.write(path, [&](const TensorSpec& tensor, std::int64_t row, std::span<float> values) {
    // Norms pass values unchanged; a bias of zero costs as much as any other. The special tokens' rows are
    // zero, so that their logits are zero, too, well below the best of thousands of random ones: no benchmark
    // run ends early.
    const bool special = tensor.name == "token_embd.weight" && row < Vocabulary::kSpecials;
    if (tensor.name.ends_with("norm.weight")) {
      std::ranges::fill(values, 1.0F);
    } else if (tensor.name.ends_with(".bias") || special) {
      std::ranges::fill(values, 0.0F);
    } else {
      fill_uniform(random, values);
    }
  });
}

}  // namespace autoglm::make_model
