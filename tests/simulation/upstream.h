#pragma once

#include "history.h"
#include "network.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace autoglm::simulation {

class PathWorld;

/// How a server is just now.
enum class Mood : std::uint8_t {
  kWell,
  kSlow,
  kFailing,     // a 5xx, a reset, garbage
  kBreaking,    // answers break off
  kHanging,     // nothing comes, or nothing more
  kBusy,        // 429, 503
  kRude,        // sends what nobody asked for, closes when it likes, answers before it has read
  kStrange,     // does not know the model, or finds fault with the body
  kGone,        // refuses connections
  kUnreachable  // does not even do that
};
constexpr std::uint64_t kMoods = static_cast<std::uint64_t>(Mood::kUnreachable) + 1;

/// What it is taken for: what it can go on with.
enum class Kind : std::uint8_t { kOurs, kVllm, kOther };

/// What a server did with requests, for the books about it.
struct Deeds {
  std::uint64_t requests = 0;
  std::uint64_t harmed = 0;   ///< that it may be blamed for
  std::uint64_t sure = 0;     ///< of these: that nobody else can have had a part in
  std::uint64_t hung = 0;     ///< and of these: answered by silence for as long as anybody waits
  std::uint64_t unheard = 0;  ///< connections that did not come about, or ended as the next request came
};

/// A server elsewhere: reads requests as they come, remembers nothing, and says of each what its text and its
/// mood say.
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
