#pragma once

#include "inference/events.h"
#include "runtime/event_loop.h"
#include "runtime/task.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm {

/// How the source of a stream's events behaves.
enum class Manner : std::uint8_t {
  kWell,     ///< the same answer each time, of two batches at least where it is no document
  kRefuses,  ///< an error instead of an answer
  kBreaks,   ///< an error after the first events
  kStalls,   ///< silence after the first events, or from the beginning
};

/// What a conformance suite knows of one implementation: how to get a stream of it, and whether anything is
/// held for streams that are gone. Made, used and destroyed on one loop, outside of its tasks.
class StreamSubject {
 public:
  virtual ~StreamSubject() = default;

  /// Sets the manner of the streams that are opened from now on. False: it cannot, and the suite skips it.
  virtual bool behave(Manner manner) = 0;
  virtual Task<Result<std::unique_ptr<EventStream>>> open() = 0;
  /// Whether no work is under way: no sequence, connection, place or byte is held.
  virtual bool idle() = 0;
};

/// An implementation of EventStream for the suite, in one line of its room's tests.
struct StreamImplementation {
  using Make = std::unique_ptr<StreamSubject> (*)(EventLoop& loop);
  // Defined beside the tests, so that making one links them.
  StreamImplementation(const char* called, Make maker);

  const char* name;
  Make make;
};

template <class Subject>
StreamImplementation stream_of(const char* name) {
  return {name,
          [](EventLoop& loop) -> std::unique_ptr<StreamSubject> { return std::make_unique<Subject>(loop); }};
}
/// What test names end with.
constexpr auto kImplementationName = [](const auto& info) { return std::string(info.param.name); };

/// Everything that a stream has said, however it came in batches.
struct Heard {
  struct Choice {
    std::string text;
    std::string reasoning;
    std::vector<TokenId> tokens;
    std::uint32_t ends = 0;
    bool operator==(const Choice&) const = default;
  };
  std::string raw;
  std::map<std::uint32_t, Choice> choices;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t completion_tokens = 0;
  std::uint32_t batches = 0;  ///< no part of what was said: other streams may have more, or fewer
  bool ended = false;
  std::optional<Error> error;

  /// Notes a batch, and checks that it is as it must be.
  void note(const EventBatch& batch);
  bool same_as(const Heard& other) const;
};
std::ostream& operator<<(std::ostream& out, const Heard& heard);

/// Reads the rest of a stream, to its end or an error.
Task<Heard> hear(EventStream& stream);
Task<Heard> open_and_hear(StreamSubject& subject);
/// Whether nothing is held any more, or will be in a moment.
Task<bool> comes_to_rest(StreamSubject& subject);

/// The conformance suite of EventStream, for INSTANTIATE_TEST_SUITE_P in each room that has one.
class EventStreamConformance : public ::testing::TestWithParam<StreamImplementation> {
 protected:
  ~EventStreamConformance() override;

  EventLoop loop_;
  std::unique_ptr<StreamSubject> subject_ = GetParam().make(loop_);
};

}  // namespace autoglm
