#pragma once

#include "machine.h"

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::simulation {

class Link;
class Network;
struct Epoll;
struct StreamFile;

/// The far end of a connection of the program: a script. It must outlive its links, or leave them by
/// `forget`.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual void connected(Link& /*link*/) {}
  virtual void received(Link& link, std::string_view bytes) = 0;
  virtual void ended(Link& link) = 0;   ///< the program sends nothing more
  virtual void broken(Link& link) = 0;  ///< refused or reset
};

/// What a remote host does with a new connection.
enum class Welcome : std::uint8_t { kAccepts, kRefuses, kSaysNothing };

class Host {
 public:
  virtual ~Host() = default;
  virtual Welcome welcome() = 0;
  /// The script for `link`.
  virtual Peer& accept(const std::shared_ptr<Link>& link) = 0;
};

/// A connection, seen from the script at its far end. Bytes take time and keep their order; those of
/// different links overtake each other.
class Link : public std::enable_shared_from_this<Link> {
 public:
  Link(Network& network, std::string peer_address) : network_(network), address_(std::move(peer_address)) {}

  void send(std::string bytes);
  /// Sends bytes that the program has not asked for. They are dropped if the program has written meanwhile,
  /// since they would look like the answer.
  void send_unasked(std::string bytes);
  void end();    ///< sends nothing more; bytes from the program are still received
  void close();  ///< ends, and answers further bytes with a reset
  void reset();
  void forget() { peer_ = nullptr; }  ///< the script receives nothing more
  /// Starts or stops reading; a script that does not read stops the program's writing.
  void read(bool reads);
  bool open() const { return !ended_ && !broken_; }

 private:
  friend class Network;
  friend struct StreamFile;
  void to_program(std::move_only_function<void(StreamFile&)> arrival);
  void to_script(std::move_only_function<void(Link&)> arrival);
  void deliver();

  Network& network_;
  std::string address_;         // the script's
  Peer* peer_ = nullptr;        // null: no script receives
  StreamFile* file_ = nullptr;  // null: the program has closed it
  MonotonicTime last_to_program_;
  MonotonicTime last_to_script_;
  std::string unread_;
  std::size_t in_flight_ = 0;  // bytes to the script that it has not taken
  std::uint64_t written_ = 0;  // bytes, by the program
  std::uint64_t heard_ = 0;    // of these, received by the script
  bool reads_ = true;
  bool ended_ = false;   // by the script
  bool closed_ = false;  // by the script, in both directions
  bool broken_ = false;
};

/// The object behind a descriptor of the program.
struct File {
  virtual ~File() = default;
  virtual std::uint32_t state() const = 0;
  /// Its state has changed: tells the epoll that watches it.
  void edge(std::uint32_t events);

  int fd = -1;
  Epoll* watcher = nullptr;
  std::uint32_t wanted = 0;
  std::uint64_t data = 0;
  bool queued = false;
};

struct EventFile final : File {
  std::uint32_t state() const override;
};

struct StreamFile final : File {
  explicit StreamFile(std::shared_ptr<Link> to) : link(std::move(to)) {}
  ~StreamFile() override;
  std::uint32_t state() const override;
  std::size_t room() const;
  // As the kernel does; below zero: the error.
  ssize_t read(char* into, std::size_t size);
  ssize_t write(std::string bytes);
  void shut_down();

  std::shared_ptr<Link> link;
  bool connected = false;
  std::string received;
  std::size_t taken = 0;  // of `received`
  bool peer_ended = false;
  bool shut = false;
  int error = 0;
};

struct ListenFile final : File {
  std::uint32_t state() const override;
  std::uint16_t port = 0;
  bool listens = false;
  std::deque<std::unique_ptr<StreamFile>> arrived;
};

struct Epoll final : File {
  std::uint32_t state() const override { return 0; }
  std::deque<File*> ready;
};

/// The machine's network: sockets of the program inside, scripts outside. A part of the machine, used by the
/// thread that has its turn.
class Network {
 public:
  static constexpr int kFirstDescriptor = 1 << 20;
  static constexpr std::size_t kWindow = 64 * 1024;  // bytes that a script has not read

  explicit Network(Machine& machine);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  /// The network of the machine that runs the calling thread; null: the host runs it.
  static Network* current();

  Machine& machine() { return machine_; }
  void set_latency(Duration mean) { latency_ = mean; }
  /// `host` is at that address of the network.
  void add_host(const std::string& address, std::uint16_t port, Host& host) {
    hosts_[{address, port}] = &host;
  }
  /// A connection from outside to a port of the program.
  std::shared_ptr<Link> dial(std::uint16_t port, Peer& peer, std::string from);
  /// The number of descriptors that the program has.
  std::size_t descriptors() const { return open_; }

  // For the calls of the program.
  static bool is_ours(int fd) { return fd >= kFirstDescriptor; }
  int add(std::unique_ptr<File> file);
  template <class T>
  T* find(int fd) const {
    const auto index = static_cast<std::size_t>(fd - kFirstDescriptor);
    return index < files_.size() ? dynamic_cast<T*>(files_[index].get()) : nullptr;
  }
  void replace(int fd, std::unique_ptr<File> file);
  bool close(int fd);
  /// The next connection's descriptor, and its source address in `from`; below zero: there is none.
  int accept(ListenFile& listening, std::string& from);
  int connect(int fd, const std::string& address, std::uint16_t port);
  int watch(Epoll& epoll, int operation, int fd, std::uint32_t events, std::uint64_t data);
  ListenFile* listener(std::uint16_t port) const;
  std::uint16_t free_port() { return next_port_++; }

 private:
  friend class Link;
  friend struct StreamFile;
  MonotonicTime arrival(MonotonicTime& last);

  Machine& machine_;
  Duration latency_ = std::chrono::microseconds(300);
  std::map<std::pair<std::string, std::uint16_t>, Host*> hosts_;
  std::vector<std::unique_ptr<File>> files_;
  std::size_t open_ = 0;
  std::uint16_t next_port_ = 20'000;
};

}  // namespace autoglm::simulation
