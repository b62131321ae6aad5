#pragma once

#include "base/random.h"
#include "breaker_model.h"
#include "ejection_model.h"
#include "gateway/resilience/dispatcher.h"
#include "gateway/resilience/roster.h"
#include "gateway/resilience/testing/fake_factory.h"
#include "gateway_tally.h"
#include "gateway_weather.h"
#include "observe/metrics/registry.h"

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// A dispatcher between clients that come, wait and leave and servers that are well, fail, hang, vanish, are
/// busy or break streams; two loops, one clock, everything from one seed. Where ModelPool waits, this has an
/// event.
class World {
 public:
  World(std::uint64_t seed, Balance balance);
  ~World();

  /// That many clients come; returns when the last has ended.
  void run(std::uint64_t requests);
  /// Checks that nothing is left over: no request, place, probe or retry.
  void check_at_rest();
  Tally tally() const { return tally_; }

 private:
  enum class Kind : std::uint8_t {
    kArrive,
    kOutcome,
    kHedge,
    kGoOn,
    kWaitEnds,
    kTokens,
    kLeave,
    kCheck,
    kMood
  };
  struct Event {
    MonotonicTime at;
    std::uint64_t order;
    Kind kind;
    std::uint64_t subject;  // a request, or an endpoint
    std::uint64_t detail;   // the request's epoch, so that outdated events are ignored
    bool operator>(const Event& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
  };
  struct Asked {
    Ask ask;
    bool probe;
    std::uint64_t number;
    bool hedge;
    BreakerModel::Attempt model;
    std::optional<Error> mishap;  // its coming error, if any
  };
  struct Request {
    std::unique_ptr<Dispatch> dispatch;
    std::vector<Asked> asked;  // one; two while hedging
    std::set<std::size_t> tried;
    std::uint64_t epoch = 0;
    std::uint32_t attempts = 0;
    std::uint32_t allowed = 0;
    bool retrying = false;
    bool replaces = false;
    bool replaced = false;
    bool waiting = false;
    bool broke = false;
    std::uint32_t early_breaks = 0;
    std::optional<Ask> streaming = {};
    BreakerModel::Attempt streaming_model = {};
    EjectionModel::Streak ended = {};  // the streak that the streaming answer's success ended
  };

  void happen(const Event& event);
  void arrive();
  void advance(std::uint64_t id);
  void ask(std::uint64_t id, Ask ask, bool hedge);
  void check_pick(const Request& request, std::size_t member);
  void check_lone_probe(const Request& request, std::size_t member);
  void check_refusal(const Request& request);
  bool admits(std::size_t member);
  bool everybody_is_shut();
  bool has_place(std::size_t member);
  bool available(std::size_t member);
  void hedge(std::uint64_t id);
  void wait(std::uint64_t id);
  void succeed(std::uint64_t id, Asked asked);
  void settle(std::uint64_t id, std::uint64_t number);
  void tokens(std::uint64_t id);
  void break_off(std::uint64_t id);
  void refuse(std::uint64_t id, const Error& error);
  void leave(std::uint64_t id);
  void end(std::uint64_t id);
  void look();
  void wake();
  void check_health(std::size_t member);
  void change_mood(std::size_t member);
  int tier(std::size_t member);
  void drop(const Asked& asked);
  void tell_models(const Asked& asked, std::size_t member, bool failed);
  void lose(Request& request, Asked asked);
  void end_probe(std::size_t member, bool neutral);
  void at(Duration in, Kind kind, std::uint64_t subject = 0, std::uint64_t detail = 0);
  Duration about(Duration mean) { return gateway::about(random_, mean); }
  std::span<const Member> members() { return roster_.list()->members; }
  EndpointRecord& record(std::size_t member) { return *roster_.list()->owners.at(member).record; }
  /// Ids begin with one.
  static std::size_t index_of(const Ask& ask) { return ask.id().value - 1; }

  /// For verdicts given by destructors.
  class WorldClock final : public Clock {
   public:
    explicit WorldClock(const MonotonicTime& now) : now_(now) {}
    MonotonicTime now() const override { return now_; }

   private:
    const MonotonicTime& now_;
  };

  Random random_;
  MonotonicTime now_{Duration(std::chrono::hours(1))};
  WorldClock clock_{now_};
  PoolConfig config_;
  observe::MetricRegistry registry_;
  PoolMetrics metrics_{registry_, "m"};
  EndpointRecords records_{registry_, "m"};
  FakeFactory factory_;
  Roster roster_{config_, records_, factory_};
  std::vector<Mood> moods_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::vector<Dispatcher::Loop> loops_;
  std::vector<InferenceRequest> inferences_;  // with different beginnings
  EndpointSet::Outlook outlook_;
  std::map<std::uint64_t, Request> live_;
  std::deque<std::uint64_t> line_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<CircuitBreaker::State> breakers_;
  std::vector<BreakerModel> models_;
  std::optional<EjectionModel> ejections_;
  std::vector<bool> ejected_;
  std::vector<std::optional<std::uint64_t>> probe_;  // of each member: the request that is its probe
  std::uint64_t order_ = 0;
  std::uint64_t left_ = 0;  // requests still to come
  std::uint64_t arrived_ = 0;
  std::uint64_t retrying_ = 0;
  Tally tally_;
};

}  // namespace autoglm::gateway
