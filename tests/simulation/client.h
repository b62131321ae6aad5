#pragma once

#include "history.h"
#include "http/chunked.h"
#include "http/head_parser.h"
#include "network.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace autoglm::simulation {

class PathWorld;

/// A client that asks, reads, thinks, and asks again, mostly on the same connection; sometimes it leaves in
/// the middle, in one of several ways, or reads slowly.
class Client final : public Peer {
 public:
  Client(PathWorld& world, unsigned number);

  void start();
  void received(Link& link, std::string_view bytes) override;
  void ended(Link& link) override;
  void broken(Link& link) override;
  /// Stops waiting for the model in this process.
  void leave_engine();

 private:
  void ask();
  void send(const Call& call);
  void leave(std::uint64_t id);
  void read_more();
  bool read_head();
  void read_events(std::uint64_t id);
  void whole(Call& call);
  void leave_link();
  void cut();
  void over();

  PathWorld& world_;
  unsigned number_;
  std::string address_;
  std::shared_ptr<Link> link_;
  std::optional<std::uint64_t> call_;  // the call under way
  bool streamed_ = false;
  std::uint32_t answers_ = 0;  // on this connection

  std::string buffer_;
  std::optional<http::ResponseHead> head_;
  http::ChunkedDecoder chunks_;
  std::string body_;
};

}  // namespace autoglm::simulation
