#include "http/connection.h"

#include "runtime/race.h"

#include <string>

namespace autoglm::http {

namespace {

constexpr Duration kGoodbye = std::chrono::seconds(2);
constexpr std::size_t kReadSize = 2048;
constexpr std::size_t kPatience = 64 * 1024 * 1024;  // bytes

}  // namespace

Task<void> Server::Connection::end_writing(ByteStream& stream) {
  co_await with_deadline(Deadline::after(kGoodbye), stream.shutdown_write(), "closing");
}

Task<void> Server::Connection::linger(ByteStream& stream) {
  co_await end_writing(stream);
  const Deadline deadline = Deadline::after(kGoodbye);
  std::string unread(kReadSize, '\0');
  for (std::size_t total = 0; total < kPatience;) {
    const auto count = co_await with_deadline(deadline, stream.read_some(std::span(unread)), "closing");
    if (!count || *count == 0) co_return;
    total += *count;
  }
}

}  // namespace autoglm::http
