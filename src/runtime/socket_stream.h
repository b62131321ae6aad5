#pragma once

#include "base/result.h"
#include "runtime/byte_stream.h"
#include "runtime/descriptor.h"

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm {

/// The error of a failed connection: kUnavailable with origin kEndpoint; or kLocal with the reason
/// kOutOfSockets, when this process has no descriptors or memory left for a connection. For sources of this
/// room only.
Error connection_error(std::string_view what, int error);

inline bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

/// A socket that is closed on destruction unless it is taken. For sources of this room only.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(other.take()) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket();
  int fd() const { return fd_; }
  int take() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

/// A connected socket, TCP or Unix. For sources of this room only.
class SocketStream final : public ByteStream {
 public:
  /// Takes over `fd`, which must be non-blocking, on the current loop.
  SocketStream(int fd, std::string peer);

  /// Waits for a connection attempt in progress: 0, or the errno of its failure.
  Task<int> connected();

  Task<Result<std::size_t>> read_some(std::span<char> buffer) override;
  Task<Result<void>> write_all(std::span<const std::string_view> parts) override;
  void watch(StreamWatch* watch) override;
  bool peer_ended() const override { return descriptor_.peer_ended; }
  std::uint64_t taken() const override;
  Task<Result<void>> shutdown_write() override;
  void close() override { descriptor_.close(); }
  const std::string& peer() const override { return peer_; }

 private:
  ssize_t send_some(std::span<const std::string_view> parts, std::size_t first, std::size_t offset);

  Descriptor descriptor_;
  std::string peer_;
  std::uint64_t sent_ = 0;
  std::size_t sent_at_once_ = 0;  // since the writer last let others have the loop
};

}  // namespace autoglm
