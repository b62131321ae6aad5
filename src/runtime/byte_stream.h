#pragma once

#include "base/result.h"
#include "runtime/task.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm {

/// Is told that something has arrived on a stream that has no reader. Called while the loop handles events
/// from the kernel, or from within a call of the stream's owner, so it may only record the fact (a list
/// entry, a timer).
class StreamWatch {
 public:
  virtual void stirred() = 0;

 protected:
  ~StreamWatch() = default;
};

/// A connected, ordered stream of bytes: TCP, a Unix socket, or TLS over one of them. Loop thread
/// only. At most one read and one write at a time. Destroying it closes the connection.
/// Errors: kUnavailable (reset, refused, broken pipe) with origin kEndpoint.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// Reads at least one byte into `buffer`; 0 at the end of the stream. `buffer` must outlive the task.
  virtual Task<Result<std::size_t>> read_some(std::span<char> buffer) = 0;

  /// Writes all of `parts`, in order; they must outlive the task.
  virtual Task<Result<void>> write_all(std::span<const std::string_view> parts) = 0;

  Task<Result<void>> write_all(std::string_view bytes) {
    const std::string_view parts[] = {bytes};
    co_return co_await write_all(std::span<const std::string_view>(parts));
  }

  /// Tells `watch` (null: no watch) from now on when bytes may have arrived or the stream may have ended; at
  /// once if bytes are here already. May be a false alarm: only a read that completes at once is proof.
  virtual void watch(StreamWatch* watch) = 0;

  /// Whether the peer has ended its side or the connection is broken, even while earlier bytes are still
  /// unread. A stream without a reader learns of this through its `watch`.
  virtual bool peer_ended() const = 0;

  /// Changes whenever the peer's system has accepted some of what was written.
  virtual std::uint64_t taken() const = 0;

  /// Tells the peer that no more bytes will come. Counts as a write; reading goes on.
  virtual Task<Result<void>> shutdown_write() = 0;
  /// Closes the connection: a pending read or write returns an error. The watch is not told.
  virtual void close() = 0;

  /// "127.0.0.1:40312", for logs and limits.
  virtual const std::string& peer() const = 0;
  /// The identity the peer has proven, by a certificate that one of our authorities signed; usually empty.
  virtual const std::string& peer_identity() const {
    static const std::string nobody;
    return nobody;
  }

  /// All names of the peer's verified certificate, with their kinds, see runtime/certificate.h; null: it has
  /// shown none.
  virtual std::shared_ptr<const std::vector<std::string>> peer_names() const { return nullptr; }
};

}  // namespace autoglm
