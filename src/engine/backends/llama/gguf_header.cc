#include "engine/backends/llama/gguf_header.h"

#include "engine/backends/llama/library_log.h"
#include "engine/models/model_format.h"

#include <fmt/format.h>
#include <gguf.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace autoglm::engine {

namespace {

struct ContextFree {
  void operator()(gguf_context* context) const { gguf_free(context); }
};
using Context = std::unique_ptr<gguf_context, ContextFree>;

/// Checks what needs no llama.cpp, for clearer messages.
Result<void> check_magic(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (error || !std::filesystem::exists(status)) {
    return fail(
        model_file_error(ErrorCode::kNotFound, path,
                         "no such file; check the path, or use a name that `open-autoglm models` lists"));
  }
  if (!std::filesystem::is_regular_file(status))
    return fail(model_file_error(ErrorCode::kInvalidArgument, path, "is not a file"));
  std::ifstream file(path, std::ios::binary);
  std::string beginning(kFormatBytes, '\0');
  file.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  beginning.resize(static_cast<std::size_t>(file.gcount()));
  if (beginning.empty() && !file.eof())
    return fail(model_file_error(ErrorCode::kDataLoss, path, "cannot be read"));
  if (auto checked = check_format(beginning, path); !checked) {
    checked.error().reason = "model_load_failed";
    return checked;
  }
  return {};
}

std::string text_of(const gguf_context* context, const char* key) {
  const auto id = gguf_find_key(context, key);
  // ggml ends the process when a value is read as another type.
  if (id < 0 || gguf_get_kv_type(context, id) != GGUF_TYPE_STRING) return {};
  return gguf_get_val_str(context, id);
}

/// A value of any numeric type, in decimal as it was written: 0.2 and not the nearest float.
std::optional<double> number_of(const gguf_context* context, std::int64_t id) {
  switch (gguf_get_kv_type(context, id)) {
    case GGUF_TYPE_UINT8:
      return gguf_get_val_u8(context, id);
    case GGUF_TYPE_INT8:
      return gguf_get_val_i8(context, id);
    case GGUF_TYPE_UINT16:
      return gguf_get_val_u16(context, id);
    case GGUF_TYPE_INT16:
      return gguf_get_val_i16(context, id);
    case GGUF_TYPE_UINT32:
      return gguf_get_val_u32(context, id);
    case GGUF_TYPE_INT32:
      return gguf_get_val_i32(context, id);
    case GGUF_TYPE_UINT64:
      return static_cast<double>(gguf_get_val_u64(context, id));
    case GGUF_TYPE_INT64:
      return static_cast<double>(gguf_get_val_i64(context, id));
    case GGUF_TYPE_FLOAT32: {
      std::array<char, 64> text;
      const auto end = std::to_chars(text.begin(), text.end(), gguf_get_val_f32(context, id));
      double number = 0;
      std::from_chars(text.data(), end.ptr, number);
      return number;
    }
    case GGUF_TYPE_FLOAT64:
      return gguf_get_val_f64(context, id);
    default:
      return std::nullopt;
  }
}

/// `general.sampling.*`, which llama.cpp's converter copies from generation_config.json.
void read_sampling(const gguf_context* context, GgufHeader& header) {
  constexpr std::string_view kPrefix = "general.sampling.";
  constexpr std::array kNames = {std::pair("temp", "temperature"), std::pair("top_k", "top_k"),
                                 std::pair("top_p", "top_p"), std::pair("min_p", "min_p"),
                                 std::pair("penalty_repeat", "repetition_penalty")};
  for (std::int64_t id = 0; id < gguf_get_n_kv(context); ++id) {
    const std::string_view key = gguf_get_key(context, id);
    if (!key.starts_with(kPrefix)) continue;
    const auto* const name = std::ranges::find(kNames, key.substr(kPrefix.size()),
                                               [](const auto& pair) { return std::string_view(pair.first); });
    const auto number = number_of(context, id);
    std::optional<std::string> wrong;
    if (name == kNames.end()) {
      wrong = "is something that this server does not do";
    } else if (!number) {
      wrong = "must be a number";
    } else {
      wrong = set_sampling_number(header.sampling, name->second,
                                  *number < 0 && key.ends_with("top_k") ? 0 : *number);
    }
    if (wrong) header.remarks.push_back(fmt::format("{} {}", key, *wrong));
  }
}

}  // namespace

Error model_file_error(ErrorCode code, const std::string& path, std::string_view what) {
  return Error{.code = code, .message = fmt::format("{}: {}", path, what), .reason = "model_load_failed"};
}

Result<GgufHeader> read_gguf_header(const std::string& path) {
  if (auto checked = check_magic(path); !checked) return fail(checked.error());
  const LibraryLog log;
  Context context;
  try {
    context.reset(gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}));
  } catch (const std::exception& exception) {
    return fail(model_file_error(ErrorCode::kDataLoss, path,
                                 fmt::format("has no readable header: {}", exception.what())));
  }
  if (!context) {
    return fail(model_file_error(ErrorCode::kDataLoss, path,
                                 fmt::format("has no readable header ({}); fetch it again", log.reason())));
  }
  GgufHeader header{.architecture = text_of(context.get(), "general.architecture"),
                    .name = text_of(context.get(), "general.name"),
                    .tensors = static_cast<std::uint64_t>(gguf_get_n_tensors(context.get())),
                    .bytes = gguf_get_data_offset(context.get()),
                    .sampling = {},
                    .remarks = {}};
  read_sampling(context.get(), header);
  const std::uint64_t data = header.bytes;
  for (std::int64_t i = 0; i < gguf_get_n_tensors(context.get()); ++i) {
    const std::uint64_t end =
        gguf_get_tensor_offset(context.get(), i) + gguf_get_tensor_size(context.get(), i);
    header.bytes = std::max(header.bytes, data + end);
  }
  std::error_code error;
  const std::uint64_t has = std::filesystem::file_size(path, error);
  if (error || has < header.bytes) {
    return fail(model_file_error(
        ErrorCode::kDataLoss, path,
        fmt::format("is cut off: it has {} of {} bytes; fetch it again", has, header.bytes)));
  }
  return header;
}

}  // namespace autoglm::engine
