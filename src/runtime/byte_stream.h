#pragma once

#include "base/result.h"
#include "runtime/task.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace autoglm {

/// Hears that something has come on a stream that nobody reads. It is called while the loop hears of events,
/// from the kernel or from a call of ours: it may take a note, such as a list's entry or a timer, and nothing
/// else.
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

  /// At least one byte into `buffer`, or 0 at the end of the stream. `buffer` must outlive the task.
  virtual Task<Result<std::size_t>> read_some(std::span<char> buffer) = 0;

  /// All of `parts`, in order; they must outlive the task.
  virtual Task<Result<void>> write_all(std::span<const std::string_view> parts) = 0;

  Task<Result<void>> write_all(std::string_view bytes) {
    const std::string_view parts[] = {bytes};
    co_return co_await write_all(std::span<const std::string_view>(parts));
  }

  /// From now on `watch` (null: nobody) hears when bytes may have come or the stream may be over; at once if
  /// they are here already. Perhaps for nothing: only a read that ends at once is sure of it.
  virtual void watch(StreamWatch* watch) = 0;

  /// Whether the peer has ended its side, or the connection is broken, even where bytes from before wait to
  /// be read. Whoever does not read learns of it by `watch`.
  virtual bool peer_ended() const = 0;

  /// Another number whenever the peer's system has taken some of what was written.
  virtual std::uint64_t taken() const = 0;

  /// Tells the peer that nothing more will come, as a write does; reading goes on.
  virtual Task<Result<void>> shutdown_write() = 0;
  /// Wakes nothing by itself: whoever reads or writes sees an error.
  virtual void close() = 0;

  /// "127.0.0.1:40312", for logs and limits.
  virtual const std::string& peer() const = 0;
  /// Who the peer has proven to be, by a certificate that an authority of ours has signed; mostly empty.
  virtual const std::string& peer_identity() const {
    static const std::string nobody;
    return nobody;
  }
};

}  // namespace autoglm
