// The bodies of KServe's /infer, whose first bytes say how long the JSON before its tensors is, and of
// /generate.
#include "gateway/protocol/kserve/generate_codec.h"
#include "gateway/protocol/kserve/infer_codec.h"

#include "answers.h"

#include <memory>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  namespace kserve = protocol::kserve;
  const std::string_view body = fuzzing::text_of(data, size);
  fuzzing::decode_and_answer_in(kserve::GenerateCodec("m", false), body, fuzzing::Frames::kEvents);
  fuzzing::decode_and_answer_in(kserve::GenerateCodec("m", true), body, fuzzing::Frames::kEvents);
  const auto answer_size = std::make_shared<std::size_t>(0);
  fuzzing::decode_and_answer_in(kserve::InferCodec("m", std::nullopt, answer_size), body,
                                fuzzing::Frames::kEvents, answer_size.get());
  if (size < 2) return 0;
  const std::size_t json_size = data[0] + 256U * data[1];
  fuzzing::decode_and_answer_in(kserve::InferCodec("m", json_size, answer_size), body.substr(2),
                                fuzzing::Frames::kEvents, answer_size.get());
  return 0;
}
