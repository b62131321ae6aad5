#include "redis/dial.h"

#include "redis/reply.h"
#include "runtime/race.h"
#include "runtime/socket.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

namespace autoglm::redis {

namespace {

Error refused(const HostPort& target, const Reply& reply) {
  return Error{.code = ErrorCode::kPermissionDenied,
               .origin = Origin::kEndpoint,
               .message = target.to_string() + " refuses: " + reply.text};
}

/// Sends one command on a connection that is not pipelined yet, and waits for its reply.
Task<Result<Reply>> ask(ByteStream& stream, ReplyReader& reader, std::vector<std::string_view> words) {
  const std::string command = format_command(words);
  if (auto sent = co_await stream.write_all(std::string_view(command)); !sent) co_return fail(sent.error());
  while (true) {
    auto reply = reader.next();
    if (!reply) co_return fail(reply.error());
    if (*reply) co_return std::move(**reply);
    std::array<char, 4096> buffer;
    const auto count = co_await stream.read_some(buffer);
    if (!count) co_return fail(count.error());
    if (*count == 0) co_return fail(ErrorCode::kUnavailable, stream.peer() + " has closed the connection");
    if (auto fed = reader.feed({buffer.data(), *count}); !fed) co_return fail(fed.error());
  }
}

Task<Result<std::unique_ptr<ByteStream>>> connect(BlockingPool& names, const Options& options,
                                                  const HostPort& target) {
  const Deadline deadline = Deadline::after(options.connect_timeout);
  auto stream = co_await tcp_connect(names, target, deadline);
  if (!stream || !options.tls) co_return stream;
  const std::string& name = options.tls_name.empty() ? target.host : options.tls_name;
  co_return co_await tls_connect(options.tls, std::move(*stream), name, deadline);
}

/// Whether HELLO's reply, names and values in turn, says that the server is one of a cluster.
bool is_of_cluster(const Reply& hello) {
  for (std::size_t i = 0; i + 1 < hello.elements.size(); i += 2)
    if (hello.elements[i].text == "mode") return hello.elements[i + 1].text == "cluster";
  return false;
}

/// Redis before version 6 has no HELLO and no users but one.
Task<Result<void>> authenticate(ByteStream& stream, ReplyReader& reader, const Options& options,
                                const HostPort& target) {
  if (options.password.empty()) co_return {};
  std::vector<std::string_view> words = {"AUTH", options.password};
  if (!options.username.empty()) words.insert(words.begin() + 1, options.username);
  auto reply = co_await ask(stream, reader, std::move(words));
  if (!reply) co_return fail(reply.error());
  if (reply->is_error()) co_return fail(refused(target, *reply));
  co_return {};
}

Task<Result<void>> must_be_master(ByteStream& stream, const HostPort& target) {
  ReplyReader reader;
  auto role = co_await ask(stream, reader, {"ROLE"});
  if (!role) co_return fail(role.error());
  if (role->is_error()) co_return fail(refused(target, *role));
  if (!role->elements.empty() && role->elements.front().text == "master") co_return {};
  co_return fail(ErrorCode::kUnavailable, target.to_string() + " is not the master any longer");
}

/// The master's address, as the sentinel at `sentinel` knows it.
Task<Result<HostPort>> ask_sentinel(BlockingPool& names, const Options& options, HostPort sentinel) {
  auto stream = co_await connect(names, options, sentinel);
  if (!stream) co_return fail(stream.error());
  ReplyReader reader;
  const auto reply = co_await ask(**stream, reader, {"SENTINEL", "get-master-addr-by-name", options.master});
  if (!reply) co_return fail(reply.error());
  if (reply->is_error()) co_return fail(refused(sentinel, *reply));
  HostPort found;
  if (reply->elements.size() == 2) {
    found.host = reply->elements[0].text;
    const std::string& port = reply->elements[1].text;
    std::from_chars(port.data(), port.data() + port.size(), found.port);
  }
  if (found.host.empty() || found.port == 0) {
    co_return fail(ErrorCode::kNotFound,
                   "the sentinel " + sentinel.to_string() + " knows no master called " + options.master);
  }
  co_return found;
}

Task<Result<Dialed>> dial_and_greet(BlockingPool& names, const Options& options, HostPort target) {
  auto stream = co_await connect(names, options, target);
  if (!stream) co_return fail(stream.error());
  ReplyReader reader;
  std::vector<std::string_view> words = {"HELLO", "2"};
  if (!options.password.empty()) {
    const std::string_view user = options.username.empty() ? "default" : std::string_view(options.username);
    words.insert(words.end(), {"AUTH", user, options.password});
  }
  const auto hello = co_await ask(**stream, reader, std::move(words));
  if (!hello) co_return fail(hello.error());
  if (hello->is_error("ERR")) {
    if (auto let_in = co_await authenticate(**stream, reader, options, target); !let_in)
      co_return fail(let_in.error());
  } else if (hello->is_error()) {
    co_return fail(refused(target, *hello));
  }
  co_return Dialed{.stream = std::move(*stream), .is_cluster = is_of_cluster(*hello)};
}

/// The connection to `master`, if it says itself that it is one.
Task<Result<Dialed>> dial_if_master(BlockingPool& names, const Options& options, HostPort master) {
  auto dialed = co_await dial(names, options, master);
  if (!dialed) co_return dialed;
  const auto is_master =
      co_await with_deadline(Deadline::after(options.connect_timeout),
                             must_be_master(*dialed->stream, master), "asking for the role");
  if (!is_master) co_return fail(is_master.error());
  co_return dialed;
}

}  // namespace

Task<Result<Dialed>> dial(BlockingPool& names, const Options& options, HostPort target) {
  co_return co_await with_deadline(Deadline::after(options.connect_timeout),
                                   dial_and_greet(names, options, target), "connecting to Redis");
}

Task<Result<Dialed>> dial_master(BlockingPool& names, const Options& options) {
  if (options.sentinels.empty()) co_return co_await dial(names, options, options.address);
  Error last;
  std::vector<HostPort> tried;
  for (const HostPort& sentinel : options.sentinels) {
    // A sentinel that is frozen must not take the time of the others.
    const auto master = co_await with_deadline(Deadline::after(options.connect_timeout),
                                               ask_sentinel(names, options, sentinel), "asking a sentinel");
    if (!master) {
      last = master.error();
      continue;
    }
    if (std::ranges::find(tried, *master) != tried.end()) continue;
    auto dialed = co_await dial_if_master(names, options, *master);
    if (dialed) co_return dialed;
    last = dialed.error();
    tried.push_back(*master);
  }
  co_return fail(last);
}

}  // namespace autoglm::redis
