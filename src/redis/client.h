#pragma once

#include "redis/node.h"
#include "redis/options.h"
#include "redis/slot.h"
#include "runtime/blocking_pool.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::redis {

/// A Lua script and the digest that Redis knows it by.
struct Script {
  std::string source;
  std::string digest;  ///< SHA-1 in hexadecimal

  static Script of(std::string source);
};

/// Runs scripts on a Redis server, on the present master that sentinels name, or on the nodes of a cluster.
/// Scripts are sent by their digests, and whole to a server that does not know them. In a cluster, all keys
/// of a call lie in one slot; where a slot is, its nodes say (MOVED, ASK). One for each loop; loop thread
/// only.
class Client {
 public:
  static constexpr std::size_t kMostNodes = 64;
  static constexpr unsigned kMostRedirections = 4;  ///< of one call

  /// `names` and `options` must outlive the client, as must `script`s of its calls. `told`: see Node; a
  /// cluster is up while any of its nodes is.
  Client(BlockingPool& names, const Options& options, Node::Told told);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Whether all keys of a call must lie in one slot.
  bool is_cluster() const { return is_cluster_; }

  /// Sends `script` with its keys, of which there is at least one. False: the server is not usable at
  /// present, and `then` is not called.
  bool run(const Script& script, std::span<const std::string> keys, std::span<const std::string> arguments,
           OnReply then);
  /// Sends a script whose reply nobody needs, also to a server that is late, within a millisecond. What
  /// cannot be sent is dropped.
  void tell(const Script& script, std::span<const std::string> keys, std::span<const std::string> arguments);
  /// The reply to a call with `key` has not come in time.
  void doubt(std::string_view key);

 private:
  struct Call;
  struct Peer {
    HostPort address;  ///< of the first one: empty
    std::unique_ptr<Node> node;
    bool is_up = false;
  };

  std::optional<std::size_t> owner_of(std::string_view key) const;
  std::size_t route(std::string_view key, bool (Node::*fits)() const) const;
  /// The node at `target`, made if need be; nothing when there are too many.
  std::optional<std::size_t> peer_at(const HostPort& target);
  void send(std::shared_ptr<Call> call, std::size_t peer, bool asking);
  void answered(std::shared_ptr<Call> call, std::size_t peer, Result<Reply> reply);
  bool redirected(const std::shared_ptr<Call>& call, std::size_t peer, const Reply& reply);
  void note(std::size_t peer, bool is_up, std::string_view why);

  BlockingPool& names_;
  const Options& options_;
  Node::Told told_;
  bool is_cluster_ = false;
  std::optional<bool> told_up_;
  std::vector<std::uint8_t> peer_of_slot_;  // one more than its index; 0: unknown. Empty: no slot is known
  std::vector<Peer> peers_;
};

}  // namespace autoglm::redis
