#include "gateway/protocol/object_stream.h"

#include "gateway/protocol/openai/frame.h"
#include "gateway/protocol/openai/frame_reader.h"
#include "gateway/protocol/openai/said_error.h"
#include "gateway/protocol/whole_answers.h"

#include <algorithm>
#include <utility>

namespace autoglm::protocol {

namespace {

using openai::broken_answer;

constexpr std::size_t kMaxObject = std::size_t{4} << 20U;

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

}  // namespace

/// The next whole object's bytes, perhaps blank; nothing: it is not there yet.
std::optional<std::string_view> ObjectStreamReader::next(const std::string& bytes, std::size_t& at,
                                                         bool over) {
  const std::size_t searched = std::exchange(searched_, 0);
  if (framing_ == Framing::kEvents) {
    const std::string_view frame = openai::next_frame(bytes, at, searched);
    if (frame.empty()) return std::nullopt;
    at += frame.size();
    return openai::frame_data(frame, joined_).value_or("");
  }
  const std::size_t end = bytes.find('\n', std::max(at, searched));
  if (end == std::string::npos && (!over || at == bytes.size())) return std::nullopt;
  const std::string_view line = std::string_view(bytes).substr(at, end == std::string::npos ? end : end - at);
  at = end == std::string::npos ? bytes.size() : end + 1;
  return line;
}

Result<void> ObjectStreamReader::read(std::string& bytes, bool over, EventBatch& batch) {
  // A document in the stream's place says why there is none.
  const bool document = over && !any_ && bytes.starts_with('{') && framing_ == Framing::kEvents;
  std::optional<Error> said;
  if (document) {
    if (const auto object = parse_object(bytes))
      said = openai::error_in(*object, "the endpoint answered with an error");
  }
  if (over && framing_ == Framing::kEvents)
    bytes += "\n\n";  // the last event may lack the empty line behind it
  std::size_t at = 0;
  Result<void> outcome;
  while (outcome && !batch.usage) {
    const auto json = next(bytes, at, over);
    if (!json) break;
    if (is_blank(*json) || *json == "[DONE]") continue;
    const auto object = parse_object(*json);
    any_ = true;
    outcome = object ? take(*object, batch)
                     : fail(broken_answer("the endpoint sent an event that is no JSON object"));
  }
  bytes.erase(0, at);
  searched_ = bytes.size() - std::min<std::size_t>(bytes.size(), 2);
  if (said) return fail(std::move(*said));
  if (!outcome || batch.usage) return outcome;
  if (over) return end(batch);
  if (bytes.size() > kMaxObject) return fail(broken_answer("the endpoint sent an event without end"));
  return outcome;
}

Result<void> ObjectStreamReader::end(EventBatch& /*batch*/) {
  return fail(broken_answer("the endpoint's stream ended before the answer did"));
}

}  // namespace autoglm::protocol
