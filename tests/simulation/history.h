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

/// The `index`th token of the answer to request `id`: nobody else's answer has any such.
std::string token_text(std::uint64_t id, std::uint32_t index);
inline std::int32_t token_number(std::uint64_t id, std::uint32_t index) {
  return static_cast<std::int32_t>(id * 64 + index);
}

/// The number that stands behind the first `mark`; 0 where there is none.
std::uint64_t number_behind(std::string_view text, std::string_view mark);

/// What a client may hope for.
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
  kRefused,     ///< by a status
  kLeft,        ///< the client itself
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
  std::size_t said = 0;  ///< of that
  std::uint32_t prompt_tokens = 1;
  std::uint32_t max_tokens = 1;
  Duration own_time = Duration::max();  ///< that the client has set itself
  MonotonicTime sent;
  MonotonicTime heard;             ///< its client, something new
  std::uint32_t tokens = 0;        ///< that its client has
  bool finished = false;           ///< the finish reason came
  std::uint32_t prompt_usage = 0;  ///< as told
  std::vector<MonotonicTime> token_times;
  std::uint32_t attempts = 0;  ///< that servers saw
  std::uint32_t allowed = 0;
  std::uint32_t unpaid = 0;  ///< further attempts that the budget is not asked for
  bool lost = false;  ///< a connection that ended without a byte, or a server that is not set up for it
  std::uint32_t retries = 0;  ///< of the budget's, that servers have not answered
  bool broke = false;         ///< an answer to it, at least once
  int objection = 0;          ///< the status by which a server found fault with it
};

/// What counts, for whoever runs simulations.
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

/// Checks what clients and servers saw, and nothing else, against what the product promises. `broken` keeps
/// what was not kept.
class History {
 public:
  History(Machine& machine, Patience patience) : machine_(machine), patience_(patience) {}

  /// Whether a server is there that can go on with a stream which breaks now.
  std::function<bool(const Call& call)> must_go_on;

  // Of clients.
  Call& sends(Call call);
  Call* find(std::uint64_t id);
  /// Data of one event of the stream.
  void event(Call& call, std::string_view data);
  void answer(Call& call, std::string_view body);
  void refusal(Call& call, int status, std::string_view retry_after, std::string_view body);
  void ends(Call& call, Ending ending);

  // Of servers.
  /// A request arrived, to go on behind `said` tokens. Whether it is a retry of the budget's.
  bool arrives(std::uint64_t id, std::uint32_t said, bool resume);
  /// Its first byte of an answer leaves, or it never will.
  void answered(std::uint64_t id, bool retry);
  /// The answer to it will break; what comes then is other work.
  void breaks(std::uint64_t id);
  /// The connection ends without a byte, or the server refuses what is the gateway's own.
  void loses(std::uint64_t id);
  /// The server says that the request itself is at fault: the last word on it.
  void objects(std::uint64_t id, int status);

  /// The engine begins to read it.
  void prepares(std::uint64_t id);
  /// Tokens that the engine has generated for calls that are over: all of the good ones', and of the others
  /// at least and at most.
  struct Generated {
    std::uint64_t least = 0;
    std::uint64_t most = 0;
  };
  const Generated& generated() const { return generated_; }

  void fault() { ++sums_.faults; }
  void breach(std::string what);
  const std::vector<std::string>& breaches() const { return breaches_; }
  std::size_t live() const { return live_.size(); }
  /// Those that ended well, since the beginning.
  std::uint64_t good() const {
    return sums_.by_ending[static_cast<std::size_t>(Ending::kWhole)] +
           sums_.by_ending[static_cast<std::size_t>(Ending::kFinished)];
  }
  Sums& sums() { return sums_; }
  /// Requests that came to servers when an answer to the same had broken, whether they tell or not.
  std::uint64_t behind_breaks() const { return behind_breaks_; }

  /// What the access log is to say of an answer.
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
  std::size_t pooled_ = 0;          // of the live ones: that servers answer
  std::uint32_t retrying_ = 0;      // of these: with retries
  std::deque<MonotonicTime> ends_;  // of such, lately
  std::vector<std::string> breaches_;
  Sums sums_;
};

}  // namespace autoglm::simulation
