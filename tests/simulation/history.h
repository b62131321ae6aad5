#pragma once

#include "base/clock.h"
#include "machine.h"

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace autoglm::simulation {

/// The `index`th token of the answer to request `id`; no other answer has such tokens.
std::string token_text(std::uint64_t id, std::uint32_t index);
inline std::int32_t token_number(std::uint64_t id, std::uint32_t index) {
  return static_cast<std::int32_t>(id * 64 + index);
}

/// The number after the first `mark`; 0 where there is none.
std::uint64_t number_behind(std::string_view text, std::string_view mark);

/// What a client may expect.
struct Patience {
  std::uint32_t attempts = 3;
  Duration whole;   ///< answers, queueing included
  Duration first;   ///< a stream's first token, however many servers are asked
  Duration silent;  ///< between two tokens, a resume included
  Duration engine;  ///< an answer of the model in this process, or its next token
  std::uint32_t retry_percent = 20;
  bool hedges = false;  ///< two servers may be asked at the same time
};

/// How a request ended, as its client saw it.
enum class Ending : std::uint8_t {
  kWhole,       ///< a whole answer
  kFinished,    ///< a stream with its finish and [DONE]
  kErrorEvent,  ///< in a stream
  kRefused,     ///< with a status
  kLeft,        ///< the client left
  kNotTaken,    ///< its kept connection had ended before a byte of an answer: it asks again
};
constexpr std::size_t kEndings = 6;

/// What clients and servers saw of one request.
struct Call {
  std::uint64_t id = 0;
  bool chat = false;
  bool stream = false;
  bool wants_usage = false;
  bool large = false;
  bool may_leave = false;
  bool engine = false;   ///< asks the model that runs in this process
  std::string expected;  ///< the answer's text
  std::size_t said = 0;  ///< bytes of that
  std::uint32_t prompt_tokens = 1;
  std::uint32_t max_tokens = 1;
  Duration own_time = Duration::max();  ///< the client's own limit
  MonotonicTime sent;
  MonotonicTime heard;             ///< when its client last got something new
  std::uint32_t tokens = 0;        ///< the tokens that its client has
  bool finished = false;           ///< the finish reason came
  std::uint32_t prompt_usage = 0;  ///< as told
  std::vector<MonotonicTime> token_times;
  std::uint32_t attempts = 0;  ///< attempts that servers saw
  std::uint32_t allowed = 0;
  std::uint32_t unpaid = 0;   ///< further attempts outside the budget
  bool lost = false;          ///< its connection ended without a byte, or its server is not set up for it
  std::uint32_t retries = 0;  ///< retries in the budget that servers have not answered
  bool broke = false;         ///< an answer to it broke, at least once
  int objection = 0;          ///< the status with which a server blamed the request
};

/// The sums that a run of simulations reports.
struct Sums {
  std::uint64_t calls = 0;
  std::array<std::uint64_t, kEndings> by_ending{};
  std::uint64_t attempts = 0;
  std::uint64_t retries = 0;
  std::uint64_t resumes = 0;
  std::uint64_t tokens = 0;
  std::uint64_t faults = 0;
  std::uint64_t virtual_seconds = 0;
  std::array<std::uint64_t, 600> by_status{};
  Sums& operator+=(const Sums& other);
};

/// Checks what clients and servers saw, and nothing else, against the product's promises. `breaches` has the
/// broken promises.
class History {
 public:
  History(Machine& machine, Patience patience) : machine_(machine), patience_(patience) {}

  /// Whether there is a server that can continue a stream which breaks now.
  std::function<bool(const Call& call)> must_go_on;

  // Of clients.
  Call& sends(Call call);
  Call* find(std::uint64_t id);
  /// The data of one event of the stream.
  void event(Call& call, std::string_view data);
  void answer(Call& call, std::string_view body);
  void refusal(Call& call, int status, std::string_view retry_after, std::string_view body);
  void ends(Call& call, Ending ending);

  // Of servers.
  /// A request arrived, to continue after `said` tokens. Returns whether it is a retry in the budget.
  bool arrives(std::uint64_t id, std::uint32_t said, bool resume);
  /// The first byte of its answer is sent, or never will be.
  void answered(std::uint64_t id, bool retry);
  /// The answer to it will break; later attempts are other work.
  void breaks(std::uint64_t id);
  /// The connection ends without a byte, or the server refuses the gateway's own choice (model, path, key).
  void loses(std::uint64_t id);
  /// The server blames the request itself: that is final.
  void objects(std::uint64_t id, int status);

  /// The engine begins to read the request.
  void prepares(std::uint64_t id);
  /// Bounds of the tokens that the engine has generated for calls that are over: for good calls both are
  /// exact.
  struct Generated {
    std::uint64_t least = 0;
    std::uint64_t most = 0;
  };
  const Generated& generated() const { return generated_; }

  void fault() { ++sums_.faults; }
  void breach(std::string what);
  const std::vector<std::string>& breaches() const { return breaches_; }
  std::size_t live() const { return live_.size(); }
  /// Calls that ended well, since the beginning.
  std::uint64_t good() const {
    return sums_.by_ending[static_cast<std::size_t>(Ending::kWhole)] +
           sums_.by_ending[static_cast<std::size_t>(Ending::kFinished)];
  }
  Sums& sums() { return sums_; }
  /// Requests that came to servers after an answer to the same request had broken, whether marked as such or
  /// not.
  std::uint64_t behind_breaks() const { return behind_breaks_; }

  /// The usage that the access log must show for an answer.
  struct Usage {
    std::uint32_t prompt = 0;  ///< 0: the client was not told
    std::uint32_t completion = 0;
  };
  const std::unordered_map<std::uint64_t, Usage>& told_usage() const { return told_usage_; }

 private:
  void text(Call& call, std::string_view said);
  void usage(Call& call, std::string_view json);
  void watch(std::uint64_t id);
  std::uint64_t retries_at_once();
  MonotonicTime due(const Call& call) const;

  Machine& machine_;
  Patience patience_;
  std::unordered_map<std::uint64_t, Call> live_;
  std::unordered_map<std::uint64_t, MonotonicTime> ended_;  // lately
  std::deque<std::uint64_t> forgotten_next_;                // of these
  std::unordered_map<std::uint64_t, Usage> told_usage_;
  Generated generated_;
  std::uint64_t behind_breaks_ = 0;
  std::size_t pooled_ = 0;          // live calls that servers answer
  std::uint32_t retrying_ = 0;      // of these, calls with retries
  std::deque<MonotonicTime> ends_;  // ends of such calls, lately
  std::vector<std::string> breaches_;
  Sums sums_;
};

}  // namespace autoglm::simulation
