#include "hash_transformer.h"
#include "random_encoder.h"
#include "random_transformer.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <map>
#include <optional>
#include <string>

namespace {

using autoglm::Result;

struct Options {
  std::string shape;
  std::string path;
  std::optional<ggml_type> type;
  std::uint64_t seed = 1;
};

Result<std::uint64_t> make(const Options& options) {
  using namespace autoglm::make_model;
  if (options.shape == "tiny") {
    return write_hash_transformer(options.path, options.type.value_or(GGML_TYPE_F32), options.seed);
  }
  if (options.shape == "1layer") {
    return write_random_transformer(options.path, kOneLayer, options.type.value_or(GGML_TYPE_Q8_0),
                                    options.seed);
  }
  if (options.shape == "15m") {
    return write_random_transformer(options.path, k15M, options.type.value_or(GGML_TYPE_Q8_0), options.seed);
  }
  const std::map<std::string, EncoderShape> encoders = {{"encoder", kTinyEncoder},
                                                        {"ranker", kTinyRanker},
                                                        {"minilm", kMiniLm},
                                                        {"minilm-ranker", kMiniRanker}};
  if (const auto found = encoders.find(options.shape); found != encoders.end()) {
    return write_random_encoder(options.path, found->second, options.type.value_or(GGML_TYPE_F32),
                                options.seed);
  }
  return write_random_transformer(options.path, kHalfB, options.type.value_or(GGML_TYPE_Q4_0), options.seed);
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, ggml_type> types = {
      {"f32", GGML_TYPE_F32}, {"q8_0", GGML_TYPE_Q8_0}, {"q4_0", GGML_TYPE_Q4_0}};
  Options options;
  std::string type;

  CLI::App app("Makes GGUF models for tests and benchmarks. The same options give the same bytes.");
  app.add_option("--shape", options.shape,
                 "tiny: the fixture of the tests (f32); 1layer: almost nothing (q8_0); 15m: as stories15M "
                 "(q8_0); 0.5b: as Qwen2-0.5B (q4_0); encoder and ranker: a BERT for tests, with vectors or "
                 "with scores (f32); minilm and minilm-ranker: as all-MiniLM-L6 (f32)")
      ->required()
      ->check(
          CLI::IsMember({"tiny", "1layer", "15m", "0.5b", "encoder", "ranker", "minilm", "minilm-ranker"}));
  app.add_option("--out", options.path, "The file to write")->required();
  app.add_option("--type", type, "Of the matrices: f32, q8_0 or q4_0; default: what the shape says")
      ->check(CLI::IsMember({"f32", "q8_0", "q4_0"}));
  app.add_option("--seed", options.seed, "Of the random numbers")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (!type.empty()) options.type = types.at(type);

  const auto size = make(options);
  if (!size) {
    fmt::print(stderr, "make_model: {}\n", size.error().message);
    return 1;
  }
  fmt::print("{}: {}, {:.1f} MB\n", options.path, options.shape, static_cast<double>(*size) / 1e6);
  return 0;
}
