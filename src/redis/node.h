#pragma once

#include "redis/connection.h"
#include "redis/dial.h"
#include "redis/options.h"
#include "runtime/scope.h"
#include "runtime/signal.h"
#include "runtime/task.h"

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

namespace autoglm::redis {

/// One server, over a connection that is made again whenever it ends, ever more seldom while that fails.
///
/// A server that has not answered in time is in doubt, and nobody should wait for it. A PING asks it again
/// and again; when one comes back in time the doubt is over, and when one stays away for `Options::stall` the
/// connection is closed. So a frozen server costs the timeout for the calls of one moment only. Loop thread
/// only.
class Node {
 public:
  using Dial = std::function<Task<Result<Dialed>>()>;
  /// Is told when the server becomes usable, and when it has shown, not only by one late reply, that it is
  /// not; the first time also when it never was. Must not destroy the node.
  using Told = std::function<void(bool is_up, std::string_view why)>;

  /// `options` must outlive the node. Begins to connect at once.
  Node(Dial dial, const Options& options, Told told);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  bool usable() const { return connection_ && !doubted_.is_set(); }
  bool connected() const { return connection_ != nullptr; }
  bool is_cluster() const { return is_cluster_; }

  /// False: there is no connection, or too many commands wait for the server; `then` is left as it was. A
  /// server in doubt gets it, too: ask `usable` before sending what somebody waits for.
  bool send(std::string_view command, OnReply& then, Haste haste = Haste::kNow);
  /// A reply has not come in time.
  void doubt();
  /// This server is not, or not any longer, the one that is meant: finds it again.
  void look_again();

 private:
  Task<void> run();
  Task<Error> serve();
  Task<Error> probe();
  Task<Result<Reply>> ping();
  Task<Error> left();
  void tell(bool is_up, std::string_view why);

  Dial dial_;
  const Options& options_;
  Told told_;
  bool is_cluster_ = false;
  std::optional<bool> told_up_;
  Signal doubted_;
  Signal leaving_;
  std::unique_ptr<Connection> connection_;
  Scope scope_;  // the last member: its task uses all others
};

}  // namespace autoglm::redis
