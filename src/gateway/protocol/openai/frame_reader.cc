#include "gateway/protocol/openai/frame_reader.h"

#include "gateway/protocol/openai/frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

constexpr std::size_t kMaxFrame = std::size_t{4} << 20U;

void append(EventBatch& to, EventBatch& from) {
  if (from.raw.empty() && from.events.empty()) return;
  to.raw += from.raw;
  std::move(from.events.begin(), from.events.end(), std::back_inserter(to.events));
  from = {};
}

}  // namespace

Error broken_answer(std::string message) {
  return Error{.code = ErrorCode::kBadGateway,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = std::move(message),
               .reason = "bad_stream"};
}

Error too_much_asked(std::size_t most) {
  return Error{.code = ErrorCode::kPayloadTooLarge,
               .origin = Origin::kClient,
               .message = fmt::format("the answer is larger than {} MiB, the most that is taken from an "
                                      "endpoint: ask for fewer at a time",
                                      most >> 20U),
               .reason = "answer_too_large"};
}

Error FrameReader::ended(std::string_view rest) const {
  if (!says_ && rest.starts_with('{')) {
    if (auto answer = read_answer(rest); !answer && answer.error().reason != "bad_stream")
      return std::move(answer).error();
  }
  return broken_answer("the endpoint's stream ended without [DONE]");
}

Result<bool> FrameReader::take(std::string& bytes, EventBatch& batch) {
  std::size_t at = 0;
  Result<bool> done = false;
  while (done && !*done) {
    const std::string_view frame = next_frame(bytes, at, std::exchange(searched_, 0));
    if (frame.empty()) break;
    at += frame.size();
    done = take_frame(frame, batch);
  }
  bytes.erase(0, at);
  searched_ = bytes.size() - std::min<std::size_t>(bytes.size(), 2);  // an end has at most three bytes
  if (done && !*done && bytes.size() > kMaxFrame)
    return fail(broken_answer("the endpoint sent an event without end"));
  return done;
}

Result<bool> FrameReader::take_frame(std::string_view frame, EventBatch& batch) {
  std::string joined;
  const auto data = frame_data(frame, joined);
  const std::string_view passed = without_comments(frame);  // the client gets ours instead
  if (passed.size() < frame.size()) usage_ = read_usage_comment(frame).value_or(usage_);
  if (!data || data->find_first_not_of(" \t\n") == std::string_view::npos) return false;  // it has no data
  if (*data == "[DONE]") {
    if (!says_) return fail(broken_answer("the endpoint ended its stream before it said anything"));
    append(batch, held_);
    if (!shape_.decodes) batch.raw += passed;
    if (usage_.completion_tokens == 0) usage_.completion_tokens = tokens_;
    return true;
  }
  auto read = read_frame(*data, shape_.decodes);
  if (!read) return fail(read.error());
  if (read->error) return fail(std::move(*read->error));
  if (!says_ && !read->is_chunk)
    return fail(broken_answer("the endpoint sent an event that is no part of an answer"));
  says_ = says_ || read->says || read->has_tokens;
  if (std::ranges::any_of(read->events, [&](const TokenEvent& e) { return e.choice >= shape_.choices; }))
    return fail(broken_answer("the endpoint sent a choice that nobody asked for"));
  if (read->usage) usage_ = *read->usage;
  // A resumed answer reports once more that choices have ended; the client knows that.
  const auto told = [](const TokenEvent& event) {
    return event.finish && event.tokens.empty() && event.text.empty();
  };
  if (shape_.resumed && !shape_.decodes && read->has_tokens && std::ranges::all_of(read->events, told))
    return false;
  for (const TokenEvent& event : read->events)  // for servers that report no usage: a token a frame
    tokens_ += event.text.empty() && event.reasoning.empty() ? 0 : 1;
  // Frames that say nothing yet are held back: until they go out, another endpoint may answer.
  const bool goes_out = says_ && (!shape_.whole_steps || read->has_tokens || read->events.empty());
  if (goes_out) append(batch, held_);
  EventBatch& to = goes_out ? batch : held_;
  if (to.events.empty()) {
    to.events = std::move(read->events);
  } else {
    std::ranges::move(read->events, std::back_inserter(to.events));
  }
  if (!shape_.decodes) to.raw += passed;
  const std::size_t kept = shape_.decodes ? held_.events.size() * sizeof(TokenEvent) : held_.raw.size();
  if (!says_ && kept > kMaxFrame)
    return fail(broken_answer("the endpoint sends events without end that say nothing"));
  return false;
}

}  // namespace autoglm::protocol::openai
