// Messages of gRPC: the first byte chooses the message; the rest is what a client sends.
#include "fuzzing.h"
#include "gateway/protocol/grpc/frames.h"
#include "gateway/protocol/grpc/infer_codec.h"
#include "gateway/protocol/grpc/ranking_codecs.h"
#include "gateway/protocol/grpc/status_details.h"
#include "gateway/protocol/grpc/text_codecs.h"

#include <string>

namespace {

using namespace autoglm;
using fuzzing::expect;
using protocol::grpc::kPrefix;

/// What the encoder writes is whole messages.
void check_frames(std::string_view bytes) {
  while (!bytes.empty()) {
    expect(bytes.size() >= kPrefix, "a message has a prefix");
    const auto prefix = protocol::grpc::read_prefix(bytes);
    expect(prefix && !prefix->packed && prefix->size <= bytes.size() - kPrefix, "a message is whole");
    bytes.remove_prefix(kPrefix + prefix->size);
  }
}

void check(const protocol::Codec& codec, std::string_view message) {
  const auto call = codec.decode(message);
  if (!call) {
    expect(call.error().code == ErrorCode::kInvalidArgument || call.error().code == ErrorCode::kNotFound,
           "a wrong message is the client's error");
    expect(!call.error().message.empty(), "an error has words");
    protocol::grpc::status_details(call.error());
    return;
  }
  const auto encoder = call->make_encoder({.id = "1", .model = "m"});
  std::string out;
  encoder->events({.events = {{.tokens = {1}, .text = "a"}}}, out);
  encoder->end({}, out);
  check_frames(out);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view message = fuzzing::text_of(data + 1, size - 1);
  switch (data[0] % 6) {
    case 0:
      check(protocol::grpc::GenerateCodec(), message);
      break;
    case 1:
      check(protocol::grpc::ChatCodec(), message);
      break;
    case 2:
      check(protocol::grpc::EmbedCodec(), message);
      break;
    case 3:
      check(protocol::grpc::RerankCodec(), message);
      break;
    case 4:
      check(protocol::grpc::InferCodec(false), message);
      break;
    default:
      check(protocol::grpc::InferCodec(true), message);
      break;
  }
  return 0;
}
