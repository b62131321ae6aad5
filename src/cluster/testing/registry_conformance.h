#pragma once

#include "cluster/registries/registry.h"
#include "http/client.h"
#include "http/testing/wire_server.h"
#include "runtime/blocking_pool.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::cluster {

/// What a conformance suite knows of one implementation of Registry: how to get one, and a server behind it
/// that a test controls. Made, used and destroyed on the loop.
class RegistrySubject {
 public:
  using Ports = std::vector<std::uint16_t>;
  virtual ~RegistrySubject() = default;

  /// Another registry, which asks the server; at short intervals, if it has any.
  virtual std::unique_ptr<Registry> make() = 0;
  /// From now on the server lists instances at these ports, as they stand here.
  virtual void list(const Ports& ports) = 0;
  /// From now on the server answers, if at all, with an error.
  virtual void be_ill() = 0;
  /// From now on the server says what is no answer.
  virtual void say_garbage() = 0;
  /// Ends what registries share, such as idle connections.
  virtual void let_go() {}
  /// Connections and the like that are still open.
  virtual std::size_t open() const { return 0; }
};

/// A subject whose registry speaks HTTP. It needs `make`, and what the server answers.
class HttpRegistrySubject : public RegistrySubject {
 public:
  HttpRegistrySubject()
      : server_(way_,
                [this](ByteStream& to, std::string request) { return answer(to, std::move(request)); }) {}

  void list(const Ports& ports) override { become(State::kLists, ports); }
  void be_ill() override { become(State::kIll, ports_); }
  void say_garbage() override { become(State::kGarbage, ports_); }
  void let_go() override {
    client_.reset();
    become(State::kIll, ports_);  // requests that are held back find nobody
  }
  std::size_t open() const override { return server_.open; }

 protected:
  /// Answers a request of a server that lists `ports()`; false: the connection ends.
  virtual Task<bool> answer_well(ByteStream& to, std::string request) = 0;

  const Ports& ports() const { return ports_; }
  /// Grows by one with each change, from 1 on.
  std::uint64_t version() const { return version_; }
  /// Waits until the version is another one.
  Task<void> changed(std::uint64_t since);
  static Task<bool> send(ByteStream& to, std::string body, int status = 200, std::string headers = {});

  std::string url() const { return way_.request("").url.origin(); }
  http::Client& client() { return *client_; }
  BlockingPool& pool() { return pool_; }
  bool is_well() const { return state_ == State::kLists; }

 private:
  enum class State : std::uint8_t { kLists, kIll, kGarbage };
  void become(State state, Ports ports) {
    state_ = state;
    ports_ = std::move(ports);
    ++version_;
  }
  Task<bool> answer(ByteStream& to, std::string request);

  BlockingPool pool_{1, 8};
  std::unique_ptr<http::Client> client_ = std::make_unique<http::Client>(pool_, nullptr);
  http::OverTcp way_;
  State state_ = State::kLists;
  Ports ports_;
  std::uint64_t version_ = 1;
  http::WireServer server_;  // last: it uses the above
};

/// An implementation of Registry for the suite, in one line of the room's tests.
struct RegistryImplementation {
  using Make = std::unique_ptr<RegistrySubject> (*)();
  RegistryImplementation(const char* called, Make maker);

  const char* name;
  Make make;
};

template <class Subject>
RegistryImplementation registry_called(const char* name) {
  return {name, []() -> std::unique_ptr<RegistrySubject> { return std::make_unique<Subject>(); }};
}

/// The conformance suite of Registry, for INSTANTIATE_TEST_SUITE_P over all of them.
class RegistryConformance : public ::testing::TestWithParam<RegistryImplementation> {
 public:
  EventLoop loop_;
};

}  // namespace autoglm::cluster
