// Steps as llama_backend asks for them, in a cache that streams share: compares our attention patch
// (third_party/llama/patches, docs/adr/0012-attention.md) with ggml's reference.

#include "base/random.h"

#include <ggml-cpu.h>
#include <ggml.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

namespace autoglm::engine {
namespace {

/// A step: a row for each stream, then those of a prompt. The owners of cells are random.
struct Step {
  std::int64_t streams = 0;
  std::int64_t prompt = 0;
  std::int64_t cells = 0;   ///< in the cache
  double filled = 0.9;      ///< the share of cells that some row sees
  std::int64_t shared = 0;  ///< cells that all rows see: the first ones
  std::int64_t heads = 6;
  std::int64_t keys = 2;
  std::int64_t width = 64;
  ggml_type type = GGML_TYPE_F32;
  int threads = 2;
  float soft_cap = 0;
  float max_bias = 0;
};

class Attention : public ::testing::Test {
 protected:
  using Context = std::unique_ptr<ggml_context, decltype(&ggml_free)>;

  std::vector<float> random_floats(std::int64_t count) {
    std::vector<float> out(static_cast<std::size_t>(count));
    for (float& each : out) each = static_cast<float>(2 * random_.uniform() - 1);
    return out;
  }

  ggml_tensor* keys_or_values(ggml_context* context, const Step& step) {
    ggml_tensor* tensor = ggml_new_tensor_3d(context, step.type, step.width, step.keys, step.cells);
    const auto values = random_floats(ggml_nelements(tensor));
    ggml_quantize_chunk(step.type, values.data(), tensor->data, 0, step.keys * step.cells, step.width,
                        nullptr);
    return ggml_permute(context, tensor, 0, 2, 1, 3);
  }

  /// A row of a prompt sees the cells of the rows before it, and its own cell.
  ggml_tensor* mask(ggml_context* context, const Step& step) {
    const std::int64_t rows = step.streams + step.prompt;
    ggml_tensor* out = ggml_new_tensor_2d(context, GGML_TYPE_F16, step.cells, rows);
    auto* seen = static_cast<ggml_fp16_t*>(out->data);
    const ggml_fp16_t yes = ggml_fp32_to_fp16(0);
    const ggml_fp16_t no = ggml_fp32_to_fp16(-std::numeric_limits<float>::infinity());
    std::fill_n(seen, step.cells * rows, no);
    for (std::int64_t cell = 0; cell < step.cells; ++cell) {
      if (random_.uniform() > step.filled) continue;
      const auto owner =
          static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(step.streams) + 1));
      for (std::int64_t row = 0; row < rows; ++row) {
        const std::int64_t from = std::max<std::int64_t>(0, cell - step.cells + step.prompt);
        const bool own =
            row < step.streams ? owner == row : owner == step.streams && row - step.streams >= from;
        if (own || cell < step.shared) seen[row * step.cells + cell] = yes;
      }
    }
    return out;
  }

  std::vector<float> compute(ggml_cgraph* graph, ggml_tensor* out, const Step& step, bool reference) {
    ggml_cplan plan = ggml_graph_plan(graph, step.threads, nullptr);
    std::vector<std::uint8_t> work(plan.work_size);
    plan.work_data = work.data();
    plan.use_ref = reference;
    EXPECT_EQ(ggml_graph_compute(graph, &plan), GGML_STATUS_SUCCESS);
    const auto* data = static_cast<const float*>(out->data);
    return {data, data + ggml_nelements(out)};
  }

  /// A step that is ready to be computed.
  struct Graph {
    Context context;
    ggml_cgraph* graph;
    ggml_tensor* out;
  };
  Graph build(const Step& step) {
    Context context(ggml_init({.mem_size = 256 << 20, .mem_buffer = nullptr, .no_alloc = false}), ggml_free);
    const std::int64_t rows = step.streams + step.prompt;
    ggml_tensor* queries = ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, step.width, step.heads, rows);
    const auto values = random_floats(ggml_nelements(queries));
    std::ranges::copy(values, static_cast<float*>(queries->data));
    ggml_tensor* keys = keys_or_values(context.get(), step);
    ggml_tensor* sums = keys_or_values(context.get(), step);
    ggml_tensor* out =
        ggml_flash_attn_ext(context.get(), ggml_permute(context.get(), queries, 0, 2, 1, 3), keys, sums,
                            mask(context.get(), step), 1 / std::sqrt(static_cast<float>(step.width)),
                            step.max_bias, step.soft_cap);
    ggml_cgraph* graph = ggml_new_graph(context.get());
    ggml_build_forward_expand(graph, out);
    return {std::move(context), graph, out};
  }

  /// The squared error as a share of the squared reference.
  double error(const Step& step) {
    const Graph made = build(step);
    const auto right = compute(made.graph, made.out, step, true);
    const auto ours = compute(made.graph, made.out, step, false);
    double wrong = 0;
    double all = 0;
    for (std::size_t i = 0; i < right.size(); ++i) {
      wrong += std::pow(double{ours[i]} - double{right[i]}, 2);
      all += std::pow(double{right[i]}, 2);
    }
    EXPECT_GT(all, 0);
    return wrong / all;
  }

  Random random_{11};
};

// Single precision leaves 1e-12; one cell too few or too many, among a thousand, more than 1e-6.
constexpr double kRounding = 1e-9;

TEST_F(Attention, OfOneStream) {
  for (const std::int64_t cells : {1, 63, 256, 300, 1024})
    for (const int threads : {1, 2, 3})
      EXPECT_LT(error({.prompt = 1, .cells = cells, .filled = 1, .threads = threads}), kRounding)
          << cells << ' ' << threads;
}

TEST_F(Attention, IsTheSameToTheLastBitByAnyNumberOfThreads) {
  for (const auto& [prompt, cells] : {std::pair(1, 300), {1, 1024}, {1, 3000}, {40, 1024}}) {
    Step step{.prompt = prompt, .cells = cells, .filled = 1};
    const Graph made = build(step);
    std::vector<std::vector<float>> by_threads;
    for (const int threads : {1, 2, 3, 7}) {
      step.threads = threads;
      by_threads.push_back(compute(made.graph, made.out, step, false));
    }
    for (const auto& each : by_threads) EXPECT_EQ(each, by_threads.front()) << prompt << ' ' << cells;
  }
}

TEST_F(Attention, OfStreamsThatLieScattered) {
  for (const std::int64_t streams : {2, 5, 32})
    for (const std::int64_t shared : {0, 100})
      EXPECT_LT(error({.streams = streams, .cells = 1000, .shared = shared}), kRounding)
          << streams << ' ' << shared;
}

TEST_F(Attention, OfPromptsBesideStreams) {
  for (const std::int64_t streams : {0, 4})
    for (const std::int64_t prompt : {3, 12, 28, 64, 130})
      EXPECT_LT(error({.streams = streams, .prompt = prompt, .cells = 768}), kRounding)
          << streams << ' ' << prompt;
}

TEST_F(Attention, OfHeadsAndWidthsOfEveryKind) {
  for (const std::int64_t per_key : {1, 7, 71})
    for (const std::int64_t width : {32, 80, 128})
      EXPECT_LT(error({.streams = 3, .prompt = 9, .cells = 300, .heads = 2 * per_key, .width = width}),
                kRounding)
          << per_key << ' ' << width;
}

TEST_F(Attention, OfKeysOfOtherTypes) {
  const Step step{.streams = 3, .prompt = 9, .cells = 300};  // the reference sums in half precision
  for (const auto& [type, most] :
       {std::pair(GGML_TYPE_F16, 1e-4), {GGML_TYPE_BF16, 1e-4}, {GGML_TYPE_Q8_0, 1e-3}}) {
    Step of_type = step;
    of_type.type = type;
    EXPECT_LT(error(of_type), most) << ggml_type_name(type);
  }
}

TEST_F(Attention, OfModelsThatBoundOrSlopeTheirScores) {
  EXPECT_LT(error({.streams = 3, .prompt = 9, .cells = 300, .soft_cap = 10}), kRounding);
  EXPECT_LT(error({.streams = 3, .prompt = 9, .cells = 300, .max_bias = 8}), kRounding);
}

}  // namespace
}  // namespace autoglm::engine
