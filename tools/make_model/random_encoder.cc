#include "random_encoder.h"

#include "gguf_file.h"
#include "random_weights.h"
#include "vocabulary.h"

#include "base/random.h"

#include <algorithm>
#include <span>

namespace autoglm::make_model {
namespace {

void describe(GgufFile& file, const EncoderShape& shape) {
  const auto set = [&](const char* key, int value) {
    file.set(std::string("bert.") + key, static_cast<std::uint32_t>(value));
  };
  file.set("general.architecture", "bert");
  file.set("general.type", "model");
  file.set("general.name", shape.name);
  file.set("general.license", "apache-2.0");
  set("context_length", shape.context);
  set("embedding_length", shape.embedding);
  set("block_count", shape.layers);
  set("feed_forward_length", shape.feed_forward);
  set("attention.head_count", shape.heads);
  set("pooling_type", shape.ranks ? 4 : 1);  // llama.cpp's numbers: classes, mean
  file.set("bert.attention.layer_norm_epsilon", 1e-6F);
  file.set("bert.attention.causal", false);
  describe_vocabulary(build_vocabulary(shape.vocabulary), file);
  file.set("tokenizer.ggml.token_type_count", std::uint32_t{2});
  file.set("tokenizer.ggml.add_eos_token", true);
}

void declare(GgufFile& file, const EncoderShape& shape, ggml_type type) {
  const int width = shape.embedding;
  const auto add_norm = [&](const std::string& name) {
    file.add_vector(name + ".weight", width);
    file.add_vector(name + ".bias", width);
  };
  const auto add_layer = [&](const std::string& name, int columns, int rows) {
    file.add_matrix(name + ".weight", type, columns, rows);
    file.add_vector(name + ".bias", rows);
  };
  file.add_matrix("token_embd.weight", type, width, shape.vocabulary);
  file.add_matrix("token_types.weight", GGML_TYPE_F32, width, 2);
  file.add_matrix("position_embd.weight", GGML_TYPE_F32, width, shape.context);
  add_norm("token_embd_norm");
  for (int layer = 0; layer < shape.layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    for (const char* part : {"attn_q", "attn_k", "attn_v", "attn_output"})
      add_layer(block + part, width, width);
    add_norm(block + "attn_output_norm");
    add_layer(block + "ffn_up", width, shape.feed_forward);
    add_layer(block + "ffn_down", shape.feed_forward, width);
    add_norm(block + "layer_output_norm");
  }
  if (!shape.ranks) return;
  file.add_matrix("cls.weight", GGML_TYPE_F32, width, width);
  file.add_vector("cls.bias", width);
  file.add_matrix("cls.output.weight", GGML_TYPE_F32, width, 1);
  file.add_vector("cls.output.bias", 1);
}

}  // namespace

Result<std::uint64_t> write_random_encoder(const std::string& path, const EncoderShape& shape, ggml_type type,
                                           std::uint64_t seed) {
  GgufFile file;
  describe(file, shape);
  declare(file, shape, type);
  Random random(seed);
  return file.write(path, [&](const TensorSpec& tensor, std::int64_t /*row*/, std::span<float> values) {
    if (tensor.name.ends_with("norm.weight")) {
      std::ranges::fill(values, 1.0F);
    } else if (tensor.name.ends_with(".bias")) {
      std::ranges::fill(values, 0.0F);
    } else {
      fill_uniform(random, values);
    }
  });
}

}  // namespace autoglm::make_model
