#include "hash_transformer.h"

#include "gguf_file.h"
#include "vocabulary.h"

#include "base/assert.h"
#include "base/random.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <map>
#include <numbers>
#include <numeric>
#include <utility>

namespace autoglm::make_model {
namespace {

constexpr int kLayers = 12;
constexpr int kContext = 1 << kLayers;
constexpr int kHashBits = 31;
constexpr int kEmbedding = 64;
constexpr int kHeadDim = 32;
constexpr int kPairs = kHeadDim / 2;
constexpr int kFeedForward = 96;

// Layout of the residual stream.
constexpr int kHash = 0;
constexpr int kScratch = kHashBits;
constexpr int kOne = 2 * kHashBits;  // also kOne + 1: constants that make every norm constant

constexpr float kRopeBase = 10000.0F;
constexpr float kNormEpsilon = 1e-6F;

// Attention. Frequencies and kSelfPeak were searched for the widest margin between the attended position and
// any other (0.187 of the peak's height, over all lags and distances); kKeyLength turns it into nats, of
// which e^-76 is left over.
constexpr std::uint64_t kFrequencySeed = 1569;
constexpr double kSelfPeak = 0.75;
constexpr double kKeyLength = 12.0;
constexpr double kLeastMarginNats = 50.0;

// Logits: kLogitScale times the sum of ±(1 + kLogitStep 2^i) over seven bits i, which makes all 128 sums
// distinct.
constexpr int kWordBits = 7;
constexpr float kLogitScale = 1.5F;
constexpr float kLogitStep = 0.01F;
constexpr float kNeverLogit = -32.0F;

struct Matrix {
  int columns;
  int rows;
  std::vector<float> values =
      std::vector<float>(static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows));

  float& at(int row, int column) {
    return values[static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) +
                  static_cast<std::size_t>(column)];
  }
};

/// One 31-cycle: a permutation of several cycles would let the hash lose one bit per cycle where positions
/// have only themselves to attend to.
std::array<int, kHashBits> random_cycle(Random& random) {
  std::array<int, kHashBits> order{};
  std::iota(order.begin(), order.end(), 0);
  for (int i = kHashBits - 1; i > 0; --i) {
    std::swap(order[static_cast<std::size_t>(i)], order[random.below(static_cast<std::uint64_t>(i) + 1)]);
  }
  std::array<int, kHashBits> next{};
  for (std::size_t i = 0; i < kHashBits; ++i)
    next[static_cast<std::size_t>(order[i])] = order[(i + 1) % kHashBits];
  return next;
}

/// One frequency out of each sixteenth of (0, π), in radians a position.
std::array<double, kPairs> frequencies() {
  Random random(kFrequencySeed);
  std::array<double, kPairs> result{};
  for (int i = 0; i < kPairs; ++i)
    result[static_cast<std::size_t>(i)] = std::numbers::pi * (i + random.uniform()) / kPairs;
  return result;
}

/// The height of the peak at `distance` from where it is aimed, 1 at 0.
double peak(const std::array<double, kPairs>& frequency, int distance) {
  double sum = 0;
  for (const double w : frequency) sum += std::cos(w * distance);
  return sum / kPairs;
}

/// By how many nats the position to which layer `lag` should attend leads all others, for any length of
/// context.
double attention_margin_nats(const std::array<double, kPairs>& frequency, int lag) {
  const auto score = [&](int distance) {
    return peak(frequency, distance - lag) + kSelfPeak * peak(frequency, distance);
  };
  const double at_lag = score(lag);
  const double at_self = score(0);
  double margin = at_lag - at_self;
  for (int distance = 1; distance < kContext; ++distance) {
    if (distance != lag) margin = std::min(margin, at_lag - score(distance));
    if (distance < lag) margin = std::min(margin, at_self - score(distance));
  }
  return margin * kPairs * kKeyLength * kKeyLength / std::sqrt(double{kHeadDim});
}

class Construction {
 public:
  Construction(const Vocabulary& vocabulary, std::uint64_t seed) : random_(seed), frequency_(frequencies()) {
    embed(vocabulary);
    for (int layer = 0; layer < kLayers; ++layer) {
      attend(layer);
      multiply(layer);
    }
    choose(vocabulary);
  }

  std::map<std::string, Matrix>& matrices() { return matrices_; }

 private:
  Matrix& add(const std::string& name, int columns, int rows) {
    return matrices_.emplace(name, Matrix{.columns = columns, .rows = rows}).first->second;
  }

  void add_norm(const std::string& name, int ones) {
    // RMSNorm divides by the root of the mean square. That is a constant here, since all values but zeros are
    // ±1; the norm's weight cancels it.
    Matrix& norm = add(name, kEmbedding, 1);
    std::ranges::fill(norm.values, std::sqrt(static_cast<float>(ones) / kEmbedding + kNormEpsilon));
  }

  static std::string block(int layer, const char* part) {
    return "blk." + std::to_string(layer) + "." + part;
  }

  void embed(const Vocabulary& vocabulary) {
    Matrix& embedding = add("token_embd.weight", kEmbedding, vocabulary.size());
    for (int token = 0; token < vocabulary.size(); ++token) {
      const std::uint64_t bits = random_();
      for (int bit = 0; bit < kHashBits; ++bit) {
        embedding.at(token, kHash + bit) = ((bits >> static_cast<unsigned>(bit)) & 1U) != 0 ? 1.0F : -1.0F;
      }
      embedding.at(token, kOne) = embedding.at(token, kOne + 1) = 1.0F;
    }
    Matrix& factors = add("rope_freqs.weight", kPairs, 1);
    for (int i = 0; i < kPairs; ++i) {
      const double standard = std::pow(double{kRopeBase}, -2.0 * i / kHeadDim);
      factors.at(0, i) = static_cast<float>(standard / frequency_[static_cast<std::size_t>(i)]);
    }
  }

  void attend(int layer) {
    const int lag = 1 << layer;
    AUTOGLM_ASSERT(attention_margin_nats(frequency_, lag) > kLeastMarginNats,
                   "attention must be certain of its position");
    add_norm(block(layer, "attn_norm.weight"), kHashBits + 2);
    Matrix& query = add(block(layer, "attn_q.weight"), kEmbedding, kHeadDim);
    Matrix& key = add(block(layer, "attn_k.weight"), kEmbedding, kHeadDim);
    for (int i = 0; i < kPairs; ++i) {
      const double angle = frequency_[static_cast<std::size_t>(i)] * lag;
      query.at(2 * i, kOne) = static_cast<float>(kKeyLength * (std::cos(angle) + kSelfPeak));
      query.at(2 * i + 1, kOne) = static_cast<float>(-kKeyLength * std::sin(angle));
      key.at(2 * i, kOne) = static_cast<float>(kKeyLength);
    }
    Matrix& value = add(block(layer, "attn_v.weight"), kEmbedding, kHeadDim);
    Matrix& output = add(block(layer, "attn_output.weight"), kHeadDim, kEmbedding);
    const auto next = random_cycle(random_);
    for (int bit = 0; bit < kHashBits; ++bit) {
      value.at(bit, kHash + bit) = 1.0F;
      output.at(kScratch + next[static_cast<std::size_t>(bit)], bit) = 1.0F;
    }
  }

  /// H := H·A, A := 0. With silu(z) - silu(-z) = z, two hidden units add (A - 1)·H to H, exactly; a third,
  /// whose gate is a constant, subtracts A from itself.
  void multiply(int layer) {
    constexpr float kOpen = 4.0F;
    const float open = kOpen / (1.0F + std::exp(-kOpen));
    add_norm(block(layer, "ffn_norm.weight"), kEmbedding);
    Matrix& gate = add(block(layer, "ffn_gate.weight"), kEmbedding, kFeedForward);
    Matrix& up = add(block(layer, "ffn_up.weight"), kEmbedding, kFeedForward);
    Matrix& down = add(block(layer, "ffn_down.weight"), kFeedForward, kEmbedding);
    for (int bit = 0; bit < kHashBits; ++bit) {
      for (const int sign : {1, -1}) {
        const int unit = 2 * bit + (sign > 0 ? 0 : 1);
        gate.at(unit, kScratch + bit) = static_cast<float>(sign);
        gate.at(unit, kOne) = static_cast<float>(-sign);
        up.at(unit, kHash + bit) = 1.0F;
        down.at(kHash + bit, unit) = static_cast<float>(sign);
      }
      const int unit = 2 * kHashBits + bit;
      gate.at(unit, kOne) = kOpen;
      up.at(unit, kScratch + bit) = 1.0F;
      down.at(kScratch + bit, unit) = -1.0F / open;
    }
  }

  void choose(const Vocabulary& vocabulary) {
    add_norm("output_norm.weight", kHashBits + 2);
    Matrix& output = add("output.weight", kEmbedding, vocabulary.size());
    // No two are equal, or sorting candidates would depend on the last bit of a float.
    for (int token = 0; token < vocabulary.size(); ++token) {
      output.at(token, kOne) = kNeverLogit - kLogitStep * static_cast<float>(token);
    }
    for (std::size_t word = 0; word < vocabulary.words.size(); ++word) {
      const int token = vocabulary.words[word];
      output.at(token, kOne) = 0.0F;
      for (int bit = 0; bit < kWordBits; ++bit) {
        const float weight = kLogitScale * (1.0F + kLogitStep * static_cast<float>(1 << bit));
        output.at(token, kHash + 4 * bit) =
            ((word >> static_cast<unsigned>(bit)) & 1U) != 0 ? weight : -weight;
      }
    }
  }

  Random random_;
  const std::array<double, kPairs> frequency_;
  std::map<std::string, Matrix> matrices_;
};

void describe(GgufFile& file, const Vocabulary& vocabulary, ggml_type type) {
  constexpr std::uint32_t kMostlyF32 = 0;
  constexpr std::uint32_t kMostlyQ8 = 7;
  file.set("general.architecture", "llama");
  file.set("general.type", "model");
  file.set("general.name", "open-autoglm tiny");
  file.set("general.license", "apache-2.0");
  file.set("general.file_type", type == GGML_TYPE_F32 ? kMostlyF32 : kMostlyQ8);
  file.set("general.quantization_version", std::uint32_t{2});
  file.set("llama.context_length", std::uint32_t{kContext});
  file.set("llama.embedding_length", std::uint32_t{kEmbedding});
  file.set("llama.block_count", std::uint32_t{kLayers});
  file.set("llama.feed_forward_length", std::uint32_t{kFeedForward});
  file.set("llama.attention.head_count", std::uint32_t{1});
  file.set("llama.attention.head_count_kv", std::uint32_t{1});
  file.set("llama.attention.key_length", std::uint32_t{kHeadDim});
  file.set("llama.attention.value_length", std::uint32_t{kHeadDim});
  file.set("llama.attention.layer_norm_rms_epsilon", kNormEpsilon);
  file.set("llama.rope.dimension_count", std::uint32_t{kHeadDim});
  file.set("llama.rope.freq_base", kRopeBase);
  file.set("llama.vocab_size", static_cast<std::uint32_t>(vocabulary.size()));
  describe_vocabulary(vocabulary, file);
}

}  // namespace

Result<std::uint64_t> write_hash_transformer(const std::string& path, ggml_type type, std::uint64_t seed) {
  if (type != GGML_TYPE_F32 && type != GGML_TYPE_Q8_0) {
    return fail(
        invalid_field("type", "the tiny shape computes with its weights: f32 or q8_0, nothing coarser"));
  }
  const Vocabulary vocabulary = build_vocabulary(0);
  Construction construction(vocabulary, seed);
  GgufFile file;
  describe(file, vocabulary, type);
  for (auto& [name, matrix] : construction.matrices()) {
    if (matrix.rows == 1) {
      file.add_vector(name, matrix.columns);
    } else {
      file.add_matrix(name, name.starts_with("blk.") ? type : GGML_TYPE_F32, matrix.columns, matrix.rows);
    }
  }
  return file.write(path, [&](const TensorSpec& tensor, std::int64_t row, std::span<float> values) {
    Matrix& matrix = construction.matrices().at(tensor.name);
    std::copy_n(&matrix.at(static_cast<int>(row), 0), values.size(), values.begin());
  });
}

}  // namespace autoglm::make_model
