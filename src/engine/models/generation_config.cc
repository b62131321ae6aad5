#include "engine/models/generation_config.h"

#include <fmt/format.h>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>

namespace autoglm::engine {

namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::size_t kMostBytes = 1 << 20;

/// "No limit" is -1 in some versions of vLLM and transformers, 0 in others.
double as_we_write_it(std::string_view name, double value) {
  return name == "top_k" && value < 0 ? 0 : value;
}

}  // namespace

Result<GenerationConfig> parse_generation_config(std::string_view text) {
  boost::system::error_code error;
  const json::value parsed = json::parse(json::string_view(text.data(), text.size()), error);
  if (error) return fail(ErrorCode::kDataLoss, "is not JSON: " + error.message());
  if (!parsed.is_object()) return fail(ErrorCode::kDataLoss, "is not a JSON object");
  const json::object& object = parsed.get_object();
  GenerationConfig config;
  for_each_sampling_number([&](std::string_view name, auto, auto, const SamplingRange&) {
    const json::value* value = object.if_contains(json::string_view(name.data(), name.size()));
    if (value == nullptr || value->is_null()) return;
    if (!value->is_number()) {
      config.remarks.push_back(fmt::format("{} must be a number", name));
    } else if (const auto wrong = set_sampling_number(config.sampling, name,
                                                      as_we_write_it(name, value->to_number<double>()))) {
      config.remarks.push_back(fmt::format("{} {}", name, *wrong));
    }
  });
  const json::value* samples = object.if_contains("do_sample");
  if (samples != nullptr && samples->is_bool() && !samples->get_bool()) config.sampling.temperature = 0;
  return config;
}

Result<GenerationConfig> generation_config_beside(const fs::path& model_file) {
  const fs::path path = model_file.parent_path() / "generation_config.json";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return GenerationConfig();
  std::ifstream file(path, std::ios::binary);
  std::string text(kMostBytes, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(text.size())) && !file.eof()) {
    return fail(ErrorCode::kUnavailable,
                fmt::format("{} cannot be read: {}", path.string(), std::strerror(errno)));
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  auto config = parse_generation_config(text);
  if (!config) config.error().message = fmt::format("{} {}", path.string(), config.error().message);
  return config;
}

}  // namespace autoglm::engine
