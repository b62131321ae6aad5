// The body of a POST /v1/responses, its input as items, and the query for these.
#include "gateway/protocol/responses/responses_codec.h"

#include "codec.h"
#include "gateway/protocol/responses/input.h"
#include "gateway/protocol/responses/stored.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  using fuzzing::expect;
  const std::string_view body = fuzzing::text_of(data, size);
  fuzzing::decode_and_answer(protocol::responses::ResponsesCodec(), body, true);
  std::vector<std::string> items;
  if (protocol::responses::read_request(body)) {
    items = protocol::responses::input_items(body, "resp_\"1");
    for (const std::string& item : items) expect(fuzzing::is_json(item), "an item is JSON");
  }
  const auto list = protocol::responses::item_list(items, body);
  expect(!list || fuzzing::is_json(*list), "a list is JSON");
  return 0;
}
