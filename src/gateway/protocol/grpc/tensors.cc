#include "gateway/protocol/grpc/tensors.h"

#include "base/utf8.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <cstdint>
#include <utility>

namespace autoglm::protocol::grpc {

namespace {

using Input = kserve::ModelInferRequest::InferInputTensor;

Error wrong(std::string_view tensor, std::string_view rule) {
  return invalid_field(std::string(tensor), fmt::format("{} {}", tensor, rule));
}

bool has_one_element(const Input& input) {
  for (const std::int64_t size : input.shape())
    if (size != 1) return false;
  return true;
}

/// Of an element of BYTES its length comes first, the lowest byte first.
Result<std::string> take_bytes(Input& input, std::string* raw) {
  if (raw == nullptr) {
    auto& contents = *input.mutable_contents()->mutable_bytes_contents();
    if (contents.size() != 1) return fail(wrong(input.name(), "must have one element in bytes_contents"));
    return std::move(contents[0]);
  }
  std::uint32_t size = 0;
  if (raw->size() >= 4) {
    for (std::size_t i = 4; i-- > 0;) size = size << 8U | static_cast<unsigned char>((*raw)[i]);
  }
  if (raw->size() < 4 || raw->size() - 4 != size)
    return fail(
        wrong(input.name(), "must be raw bytes of one element: its length in four bytes, and itself"));
  return raw->substr(4);
}

Result<std::string> read_text(Input& input, std::string* raw) {
  if (input.datatype() != "BYTES")
    return fail(
        wrong(input.name(), fmt::format("must be of the type BYTES, got {}", excerpt(input.datatype(), 16))));
  auto text = take_bytes(input, raw);
  if (text && !simdjson::validate_utf8(*text)) return fail(wrong(input.name(), "must be UTF-8"));
  return text;
}

Result<bool> read_flag(const Input& input, const std::string* raw) {
  if (input.datatype() != "BOOL")
    return fail(
        wrong(input.name(), fmt::format("must be of the type BOOL, got {}", excerpt(input.datatype(), 16))));
  if (raw == nullptr && input.contents().bool_contents_size() == 1) return input.contents().bool_contents(0);
  if (raw != nullptr && raw->size() == 1) return raw->front() != 0;
  return fail(wrong(input.name(), "must have one element"));
}

Result<void> read_input(Input& input, std::string* raw, InferInputs& inputs, bool& has_text) {
  const auto assign = [](auto value, auto& target) -> Result<void> {
    if (!value) return fail(std::move(value).error());
    target = std::move(*value);
    return {};
  };
  if (!has_one_element(input)) {
    return fail(
        wrong(input.name(), "must have one element, of the shape [1]: each prompt is a request of its own"));
  }
  if (input.name() == "text_input") {
    has_text = true;
    return assign(read_text(input, raw), inputs.text);
  }
  if (input.name() == "stream") return assign(read_flag(input, raw), inputs.stream);
  if (input.name() == "sampling_parameters") return assign(read_text(input, raw), inputs.sampling_parameters);
  if (input.name() == "exclude_input_in_output")
    return assign(read_flag(input, raw), inputs.exclude_input_in_output);
  return fail(invalid_field(
      "inputs", fmt::format("there is no input \"{}\": a model that generates text has text_input, "
                            "stream, sampling_parameters and exclude_input_in_output",
                            excerpt(input.name(), 64))));
}

}  // namespace

Result<InferInputs> read_inputs(kserve::ModelInferRequest& request) {
  InferInputs inputs;
  auto& raw = *request.mutable_raw_input_contents();
  inputs.raw = !raw.empty();
  if (inputs.raw && raw.size() != request.inputs_size()) {
    return fail(invalid_field(
        "raw_input_contents",
        fmt::format("raw_input_contents has {} entries for {} inputs", raw.size(), request.inputs_size())));
  }
  bool has_text = false;
  for (int i = 0; i < request.inputs_size(); ++i) {
    if (auto read = read_input(*request.mutable_inputs(i), inputs.raw ? &raw[i] : nullptr, inputs, has_text);
        !read)
      return fail(std::move(read).error());
  }
  if (!has_text) {
    return fail(invalid_field("text_input",
                              "text_input is missing: an input of the type BYTES and the shape [1]",
                              "missing_required_parameter"));
  }
  for (const auto& output : request.outputs()) {
    if (output.name() == "text_output") continue;
    return fail(
        invalid_field("outputs", fmt::format("there is no output \"{}\": a model that generates text has "
                                             "text_output",
                                             excerpt(output.name(), 64))));
  }
  return inputs;
}

void describe_tensors(kserve::ModelMetadataResponse& response) {
  const auto describe = [](auto& tensor, const char* name, const char* type, std::int64_t size) {
    tensor.set_name(name);
    tensor.set_datatype(type);
    tensor.add_shape(size);
  };
  describe(*response.add_inputs(), "text_input", "BYTES", 1);
  describe(*response.add_inputs(), "stream", "BOOL", 1);
  describe(*response.add_inputs(), "sampling_parameters", "BYTES", 1);
  describe(*response.add_inputs(), "exclude_input_in_output", "BOOL", 1);
  describe(*response.add_outputs(), "text_output", "BYTES", -1);
}

void add_text_output(kserve::ModelInferResponse& response, const std::string* texts, std::size_t count,
                     bool raw) {
  auto& output = *response.add_outputs();
  output.set_name("text_output");
  output.set_datatype("BYTES");
  output.add_shape(static_cast<std::int64_t>(count));
  if (!raw) {
    for (std::size_t i = 0; i < count; ++i) output.mutable_contents()->add_bytes_contents(texts[i]);
    return;
  }
  std::string& bytes = *response.add_raw_output_contents();
  for (std::size_t i = 0; i < count; ++i) {
    for (unsigned shift = 0; shift < 32; shift += 8)
      bytes += static_cast<char>(texts[i].size() >> shift & 0xffU);
    bytes += texts[i];
  }
}

Result<void> check_version(std::string_view version) {
  if (version.empty() || version == "1") return {};
  return fail(Error{
      .code = ErrorCode::kNotFound,
      .origin = Origin::kClient,
      .message = fmt::format("there is no version \"{}\": models have the version 1", excerpt(version, 32)),
      .param = "model_version",
      .reason = "unknown_version"});
}

}  // namespace autoglm::protocol::grpc
