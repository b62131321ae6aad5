#include "network.h"

#include "base/assert.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace autoglm::simulation {

namespace {

thread_local Network* t_last = nullptr;
thread_local Machine* t_of = nullptr;
std::vector<std::pair<Machine*, Network*>>& networks() {
  static std::vector<std::pair<Machine*, Network*>> all;  // mostly one at a time
  return all;
}

}  // namespace

Network::Network(Machine& machine) : machine_(machine) { networks().emplace_back(&machine, this); }

Network::~Network() {
  std::erase_if(networks(), [this](const auto& each) { return each.second == this; });
  t_of = nullptr;
  AUTOGLM_ASSERT(open_ == 0, "the program has left descriptors open");
}

Network* Network::current() {
  Machine* machine = Machine::current();
  if (machine == nullptr) return nullptr;
  if (machine != t_of) {
    t_of = machine;
    t_last = nullptr;
    for (const auto& [of, network] : networks())
      if (of == machine) t_last = network;
  }
  return t_last;
}

MonotonicTime Network::arrival(MonotonicTime& last) {
  last = std::max(last + std::chrono::nanoseconds(1), machine_.now() + machine_.about(latency_));
  return last;
}

std::shared_ptr<Link> Network::dial(std::uint16_t port, Peer& peer, std::string from) {
  auto link = std::make_shared<Link>(*this, std::move(from));
  link->peer_ = &peer;
  machine_.at(arrival(link->last_to_program_), [this, link, port] {
    ListenFile* listening = listener(port);
    if (listening == nullptr) {
      link->broken_ = true;
      if (link->peer_ != nullptr) link->peer_->broken(*link);
      return;
    }
    // Its bytes may come before it is accepted: they wait, as they do in the kernel.
    auto file = std::make_unique<StreamFile>(link);
    file->connected = true;
    link->file_ = file.get();
    listening->arrived.push_back(std::move(file));
    listening->edge(EPOLLIN);
  });
  return link;
}

int Network::add(std::unique_ptr<File> file) {
  auto free = std::find(files_.begin(), files_.end(), nullptr);
  if (free == files_.end()) free = files_.insert(files_.end(), nullptr);
  file->fd = kFirstDescriptor + static_cast<int>(free - files_.begin());
  *free = std::move(file);
  ++open_;
  return (*free)->fd;
}

void Network::replace(int fd, std::unique_ptr<File> file) {
  file->fd = fd;
  files_[static_cast<std::size_t>(fd - kFirstDescriptor)] = std::move(file);
}

bool Network::close(int fd) {
  File* file = find<File>(fd);
  if (file == nullptr) return false;
  if (file->watcher != nullptr) std::erase(file->watcher->ready, file);
  if (auto* epoll = dynamic_cast<Epoll*>(file)) {
    for (const auto& each : files_)
      if (each && each->watcher == epoll) each->watcher = nullptr;
  }
  files_[static_cast<std::size_t>(fd - kFirstDescriptor)].reset();
  --open_;
  return true;
}

int Network::accept(ListenFile& listening, std::string& from) {
  if (listening.arrived.empty()) return -1;
  auto file = std::move(listening.arrived.front());
  listening.arrived.pop_front();
  from = file->link->address_;
  return add(std::move(file));
}

ListenFile* Network::listener(std::uint16_t port) const {
  for (const auto& file : files_) {
    auto* listening = dynamic_cast<ListenFile*>(file.get());
    if (listening != nullptr && listening->listens && listening->port == port) return listening;
  }
  return nullptr;
}

int Network::connect(int fd, const std::string& address, std::uint16_t port) {
  auto made =
      std::make_unique<StreamFile>(std::make_shared<Link>(*this, address + ":" + std::to_string(port)));
  const std::shared_ptr<Link> link = made->link;
  link->file_ = made.get();
  replace(fd, std::move(made));
  const auto host = hosts_.find({address, port});
  machine_.at(arrival(link->last_to_script_), [link, to = host == hosts_.end() ? nullptr : host->second] {
    if (link->file_ == nullptr) return;
    const Welcome welcome = to == nullptr ? Welcome::kRefuses : to->welcome();
    if (welcome == Welcome::kSaysNothing) return;
    if (welcome == Welcome::kAccepts) link->peer_ = &to->accept(link);
    link->to_program([welcome](StreamFile& file) {
      file.connected = true;
      if (welcome == Welcome::kRefuses) file.error = ECONNREFUSED;
      file.edge(welcome == Welcome::kRefuses ? EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP : EPOLLOUT);
    });
    if (link->peer_ != nullptr) link->peer_->connected(*link);
  });
  return EINPROGRESS;
}

int Network::watch(Epoll& epoll, int operation, int fd, std::uint32_t events, std::uint64_t data) {
  File* file = find<File>(fd);
  if (file == nullptr) return EBADF;
  if (operation == EPOLL_CTL_DEL) {
    std::erase(epoll.ready, file);
    file->watcher = nullptr;
    file->queued = false;
    return 0;
  }
  file->watcher = &epoll;
  file->wanted = events | EPOLLERR | EPOLLHUP;
  file->data = data;
  file->edge(file->state());
  return 0;
}

void File::edge(std::uint32_t events) {
  if (watcher == nullptr || (events & wanted) == 0) return;
  if (!std::exchange(queued, true)) watcher->ready.push_back(this);
  Network::current()->machine().wake(watcher);
}

std::uint32_t EventFile::state() const { return EPOLLIN; }

std::uint32_t ListenFile::state() const { return arrived.empty() ? 0 : EPOLLIN; }

std::uint32_t StreamFile::state() const {
  if (!connected) return 0;
  std::uint32_t events = 0;
  if (taken < received.size() || peer_ended || error != 0) events |= EPOLLIN;
  if (room() > 0) events |= EPOLLOUT;
  if (peer_ended) events |= EPOLLRDHUP;
  if (error != 0) events |= EPOLLERR | EPOLLHUP | EPOLLRDHUP;
  if (peer_ended && shut) events |= EPOLLHUP;
  return events;
}

std::size_t StreamFile::room() const {
  return link->in_flight_ >= Network::kWindow ? 0 : Network::kWindow - link->in_flight_;
}

/// Unread bytes make the peer see a reset.
StreamFile::~StreamFile() {
  link->file_ = nullptr;
  if (link->broken_ || link->peer_ == nullptr) return;
  const bool unread = taken < received.size();
  if (!unread && shut) return;
  link->to_script([unread](Link& to) {
    to.broken_ |= unread;
    if (to.peer_ == nullptr) return;
    if (unread) {
      to.peer_->broken(to);
    } else {
      to.peer_->ended(to);
    }
  });
}

ssize_t StreamFile::read(char* into, std::size_t size) {
  if (taken < received.size()) {
    const std::size_t count = received.copy(into, size, taken);
    taken += count;
    if (taken == received.size()) {
      received.clear();
      taken = 0;
    }
    return static_cast<ssize_t>(count);
  }
  if (error != 0) {
    peer_ended = shut = true;
    return -std::exchange(error, 0);
  }
  return peer_ended ? 0 : -EAGAIN;
}

ssize_t StreamFile::write(std::string bytes) {
  if (error != 0) return -error;
  if (shut) return -EPIPE;
  if (bytes.empty()) return -EAGAIN;
  link->in_flight_ += bytes.size();
  link->written_ += bytes.size();
  constexpr std::size_t kSegment = 16 * 1024;
  for (std::size_t at = 0; at < bytes.size(); at += kSegment) {
    link->to_script([sent = bytes.substr(at, kSegment)](Link& to) {
      to.unread_ += sent;
      to.deliver();
    });
  }
  return static_cast<ssize_t>(bytes.size());
}

void StreamFile::shut_down() {
  if (std::exchange(shut, true) || link->broken_) return;
  link->to_script([](Link& to) {
    if (to.peer_ != nullptr) to.peer_->ended(to);
  });
}

void Link::to_program(std::move_only_function<void(StreamFile&)> arrival) {
  network_.machine_.at(network_.arrival(last_to_program_),
                       [self = shared_from_this(), arrive = std::move(arrival)]() mutable {
                         if (self->file_ != nullptr) arrive(*self->file_);
                       });
}

void Link::to_script(std::move_only_function<void(Link&)> arrival) {
  network_.machine_.at(network_.arrival(last_to_script_),
                       [self = shared_from_this(), arrive = std::move(arrival)]() mutable { arrive(*self); });
}

void Link::send(std::string bytes) {
  if (ended_ || broken_ || bytes.empty()) return;
  Random& random = network_.machine_.random();
  std::string rest;
  if (bytes.size() > 1 && random.below(8) == 0) {  // segments end anywhere
    const std::size_t cut = 1 + random.below(bytes.size() - 1);
    rest = bytes.substr(cut);
    bytes.resize(cut);
  }
  const bool whole = rest.empty();
  network_.machine_.at(network_.arrival(last_to_program_), [self = shared_from_this(),
                                                            bytes = std::move(bytes)] {
    if (self->file_ == nullptr) {  // the program has closed the socket, and its kernel answers with a reset
      if (std::exchange(self->broken_, true)) return;
      self->to_script([](Link& to) {
        if (to.peer_ != nullptr) to.peer_->broken(to);
      });
      return;
    }
    StreamFile& file = *self->file_;
    if (file.error != 0) return;
    file.received.append(bytes);
    self->network_.machine_.note(bytes.size());
    file.edge(EPOLLIN);
  });
  if (!whole) send(std::move(rest));
}

void Link::send_unasked(std::string bytes) {
  if (ended_ || broken_) return;
  to_program([bytes = std::move(bytes), before = heard_](StreamFile& file) {
    if (file.link->written_ != before || file.error != 0) return;
    file.received += bytes;
    file.edge(EPOLLIN);
  });
}

void Link::end() {
  if (std::exchange(ended_, true) || broken_) return;
  to_program([](StreamFile& file) {
    file.peer_ended = true;
    file.edge(EPOLLIN | EPOLLRDHUP);
  });
}

void Link::close() {
  // Bytes that arrived and were not read are answered by a reset.
  if (!unread_.empty()) return reset();
  end();
  closed_ = true;
}

void Link::reset() {
  if (std::exchange(broken_, true)) return;
  to_program([](StreamFile& file) {
    file.error = ECONNRESET;
    file.edge(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP);
  });
}

void Link::read(bool reads) {
  reads_ = reads;
  deliver();
}

/// Gives the bytes that arrived to the script, if it reads.
void Link::deliver() {
  if (!reads_ || unread_.empty()) return;
  const std::string bytes = std::exchange(unread_, {});
  const bool was_full = in_flight_ >= Network::kWindow;
  in_flight_ -= bytes.size();
  heard_ += bytes.size();
  if (was_full && file_ != nullptr) file_->edge(EPOLLOUT);
  if (closed_ && !broken_) {
    reset();
  } else if (peer_ != nullptr && !broken_) {
    network_.machine_.note(bytes.size());
    peer_->received(*this, bytes);
  }
}

}  // namespace autoglm::simulation
