// The bodies of POST /tokenize and /detokenize, and a server's /load.
#include "gateway/protocol/vllm/tokenize.h"

#include "codec.h"
#include "gateway/protocol/vllm/load.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  using fuzzing::expect;
  const std::string_view body = fuzzing::text_of(data, size);
  if (const auto call = protocol::vllm::decode_tokenize(body)) {
    // Another process of ours would be asked with this call.
    const std::string asked = protocol::vllm::tokenize_call(call->work);
    expect(fuzzing::is_json(asked), "a call is JSON");
    const auto again = protocol::vllm::decode_tokenize(asked);
    expect(again && protocol::vllm::tokenize_call(again->work) == asked, "a call is read as it was written");
    const TokenizeResult result{.tokens = {1}, .context_length = 8, .texts = {std::string(body)}};
    const std::string answer = protocol::vllm::tokenize_body(result, call->with_pieces);
    expect(fuzzing::is_json(answer), "an answer is JSON");
  } else {
    expect(call.error().code == ErrorCode::kInvalidArgument, "a body is refused as the client's mistake");
  }
  if (const auto call = protocol::vllm::decode_detokenize(body)) {
    expect(fuzzing::is_json(protocol::vllm::tokenize_body({.tokens = call->work.tokens})),
           "an answer is JSON");
  }
  if (const auto load = protocol::vllm::read_load(body))
    expect(fuzzing::is_json(protocol::vllm::load_body(std::span(&*load, 1))), "what was read can be said");
  return 0;
}
