// An endpoint's stream: frames, errors, and an answer that continues under its first identity.
#include "gateway/protocol/openai/frame.h"

#include "codec.h"
#include "gateway/protocol/openai/continuation.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  using fuzzing::expect;
  namespace openai = protocol::openai;
  const std::string_view bytes = fuzzing::text_of(data, size);
  std::size_t at = 0;
  std::string whole;
  std::string joined;
  bool valid = true;
  while (true) {
    const std::string_view frame = openai::next_frame(bytes, at);
    if (frame.empty()) break;
    expect(frame.data() == bytes.data() + at, "frames follow each other");
    at += frame.size();
    whole += frame;
    const std::string_view passed = openai::without_comments(frame);
    expect(frame.ends_with(passed), "comments stand before what is passed on");
    std::string again;
    const auto told = openai::frame_data(frame, joined);
    const auto kept = openai::frame_data(passed, again);
    expect(told == kept || passed.starts_with("\xEF\xBB\xBF"), "comments say nothing");
    if (!told) continue;
    const auto read = openai::read_frame(*told);
    if (!read) {
      expect(read.error().code == ErrorCode::kBadGateway, "a broken frame is its endpoint's mistake");
      valid = *told == "[DONE]" && valid;
    }
  }
  if (valid) {
    const openai::AnswerIdentity identity = openai::read_identity(whole);
    const std::string again =
        openai::continue_frames(whole, {.id = "\"x\"", .created = "1", .model = "\"m\""}, 3);
    for (std::size_t next = 0; next < again.size();) {
      const std::string_view frame = openai::next_frame(again, next);
      expect(!frame.empty(), "what is passed on is whole frames");
      next += frame.size();
    }
    (void)openai::end_frames(identity, WireBody::Protocol::kChat, true);
  }
  const Error error = openai::read_error(500, bytes, std::chrono::seconds(3));
  expect(simdjson::validate_utf8(error.message), "what an endpoint says is text before it is said again");
  const auto check = [](const auto& said) {
    expect(said || simdjson::validate_utf8(said.error().message), "so is what it says in an answer's place");
  };
  check(openai::read_answer(bytes));
  check(openai::read_generated(bytes));
  return 0;
}
