#pragma once

#include "client.h"
#include "gateway/resilience/pool_config.h"
#include "history.h"
#include "machine.h"
#include "network.h"
#include "upstream.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::simulation {

struct Gateway;

/// A machine on which the real gateway runs, and around it clients that ask, servers that answer in their
/// moods, and a network with moods. Everything follows from the seed. First all is well, then faults happen,
/// then all is well again.
class PathWorld {
 public:
  static constexpr std::uint16_t kPort = 8080;
  static constexpr Duration kRequestTimeout = std::chrono::seconds(3);  ///< of whole answers

  explicit PathWorld(std::uint64_t seed);
  ~PathWorld();

  /// From the beginning to the end of the gateway.
  void run();

  const std::vector<std::string>& breaches() const { return history_.breaches(); }
  const Sums& sums() { return history_.sums(); }
  /// The gateway's log.
  const std::string& log() const { return log_; }
  std::uint64_t fingerprint() const { return machine_.fingerprint(); }

  // For the scripts in it.
  Machine& machine() { return machine_; }
  Network& network() { return network_; }
  History& history() { return history_; }
  /// Whether clients ask.
  bool loaded() const { return loaded_; }
  bool has_engine() const { return has_engine_; }
  /// Whether things go wrong.
  bool faulty() const { return faulty_; }
  /// Whether clients often send long texts.
  bool has_large_bodies() const { return large_bodies_; }
  Duration think_time() const { return think_time_; }
  bool hedges() const { return config_.hedge.percentile > 0; }
  Duration first_token_time() const { return *config_.timeouts.first_token; }
  Duration idle_time() const { return *config_.timeouts.idle; }
  /// How long a slow server takes for its first token.
  Duration slow_time() const { return slow_time_; }
  std::uint64_t next_id() { return ++last_id_; }

 private:
  void program();
  void begin_baseline();
  void begin_faults();
  void end_faults();
  void change_mood(std::size_t server);
  void strike_all();
  void disturb();
  void disturb_engine();
  void check_rest(const Gateway& gateway);
  void check_counts(const std::string& metrics);
  void check_engine(const Gateway& gateway);
  bool must_go_on(const Call& call) const;
  void check_deeds(const std::string& metrics);
  void check_log();

  Machine machine_;
  Network network_;
  gateway::PoolConfig config_;
  History history_;
  std::vector<std::unique_ptr<Upstream>> servers_;
  std::vector<std::unique_ptr<Client>> clients_;
  Gateway* gateway_ = nullptr;
  std::string log_;
  std::uint64_t last_id_ = 0;
  const bool has_engine_;
  bool loaded_ = true;
  bool faulty_ = false;
  Duration think_time_;
  const bool calm_;     // only one server has moods
  const bool patient_;  // waits long for first tokens
  const bool large_bodies_;
  const bool churns_;  // endpoints leave the pool and come back
  const Duration slow_time_;
  double baseline_ = 0;             // good answers a second
  std::int64_t memory_before_ = 0;  // bytes that the gateway held before the first request
  std::uint64_t good_before_ = 0;
};

}  // namespace autoglm::simulation
