#pragma once

#include "history.h"
#include "network.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace autoglm::simulation {

class PathWorld;

/// The present state of a server.
enum class Mood : std::uint8_t {
  kWell,
  kSlow,
  kFailing,     // a 5xx, a reset, garbage
  kBreaking,    // answers break off
  kHanging,     // sends nothing, or nothing more
  kBusy,        // 429, 503
  kRude,        // sends unasked bytes, closes at any time, answers before it has read
  kStrange,     // does not know the model, or blames the body
  kGone,        // refuses connections
  kUnreachable  // does not even refuse
};
constexpr std::uint64_t kMoods = static_cast<std::uint64_t>(Mood::kUnreachable) + 1;

/// The kind that the gateway takes it for, by which it can continue streams.
enum class Kind : std::uint8_t { kOurs, kVllm, kOther };

/// What a server did with requests, to compare with the gateway's metrics.
struct Deeds {
  std::uint64_t requests = 0;
  std::uint64_t harmed = 0;   ///< requests that may count against it
  std::uint64_t sure = 0;     ///< of these, requests that must count against it
  std::uint64_t hung = 0;     ///< and of these, requests answered by silence until the gateway gave up
  std::uint64_t unheard = 0;  ///< connections that failed, or ended as the next request came
};

/// A remote server: reads requests as they come, keeps no state of them, and answers each by its text and the
/// server's mood.
class Upstream final : public Host {
 public:
  Upstream(PathWorld& world, Kind kind);

  Welcome welcome() override;
  Peer& accept(const std::shared_ptr<Link>& link) override;
  void set_mood(Mood mood);
  Mood mood() const { return mood_; }
  const Deeds& deeds() const { return deeds_; }
  /// How long it has been in a good mood.
  Duration well_for() const;
  Kind kind() const { return kind_; }

 private:
  class Conversation;
  friend class Conversation;

  PathWorld& world_;
  Kind kind_;
  Mood mood_ = Mood::kWell;
  MonotonicTime mood_since_;
  Deeds deeds_;
};

}  // namespace autoglm::simulation
