// A server's answer, as the gateway and downloads read it.
#include "fuzzing.h"
#include "http/chunked.h"
#include "http/head_parser.h"
#include "http/url.h"

#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm::http;
  using autoglm::fuzzing::expect;
  std::string_view bytes = autoglm::fuzzing::text_of(data, size);
  HeadScanner scanner(4096);
  const auto length = scanner.scan(bytes);
  if (!length || !*length) return 0;
  ResponseHead response;
  const bool head_only = size % 2 == 0;
  if (!parse_response_head(std::string(bytes.substr(0, **length)), head_only ? "HEAD" : "GET", {}, response))
    return 0;
  expect(response.status >= 100 && response.status <= 999, "a status has three digits");
  expect(!head_only || response.framing.kind == BodyFraming::Kind::kNone, "HEAD has no body");
  if (const auto location = response.headers.find("location")) (void)Url::parse(*location);
  bytes.remove_prefix(**length);
  if (response.framing.kind != BodyFraming::Kind::kChunked) return 0;
  ChunkedDecoder whole;
  ChunkedDecoder pieces;
  std::string all;
  std::string some;
  const auto used = whole.decode(bytes, all);
  bool failed = false;
  std::size_t at = 0;
  while (at < bytes.size() && !pieces.done() && !failed) {
    const auto step = pieces.decode(bytes.substr(at, 3), some);
    failed = !step;
    if (step) at += *step;
  }
  expect(failed == !used, "both refuse, or neither");
  if (used) expect(at == *used && all == some && whole.done() == pieces.done(), "the same body in pieces");
  return 0;
}
