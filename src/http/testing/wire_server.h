#pragma once

#include "http/client.h"
#include "runtime/handover.h"
#include "runtime/scope.h"
#include "runtime/socket.h"
#include "runtime/testing/self_signed.h"
#include "runtime/tls_server.h"

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace autoglm::http {

/// A way to reach a server: the listener, and what a request needs to use it. Lives on a loop.
class Way {
 public:
  virtual ~Way() = default;
  virtual std::unique_ptr<Listener> listen() = 0;
  virtual ClientRequest request(const std::string& path) const = 0;
  virtual bool keeps_connections() const { return true; }
  /// Whether bytes that a server sent can still be read when the connection broke during the client's write.
  virtual bool reads_behind_a_reset() const { return true; }
};

class OverTcp : public Way {
 public:
  std::unique_ptr<Listener> listen() override {
    auto listener = TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value();
    port_ = listener->port();
    return listener;
  }
  ClientRequest request(const std::string& path) const override {
    return {.url = Url::parse("http://" + authority() + path).value(), .headers = {}};
  }

 protected:
  std::string authority() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  std::uint16_t port_ = 0;
};

class OverTls final : public OverTcp {
 public:
  std::unique_ptr<Listener> listen() override {
    return std::make_unique<TlsListener>(OverTcp::listen(),
                                         TlsServerContext::create({.certificates = {self_.pair}}).value());
  }
  ClientRequest request(const std::string& path) const override {
    ClientRequest request{.url = Url::parse("https://" + authority() + path).value(), .headers = {}};
    request.tls = trusts_;
    request.tls_name = "model.example";
    return request;
  }
  bool reads_behind_a_reset() const override { return false; }
  /// The file of what a client must trust.
  const std::string& authority_file() const { return self_.pair.certificate_file; }

 private:
  class TlsListener final : public Listener {
   public:
    TlsListener(std::unique_ptr<Listener> tcp, std::shared_ptr<const TlsServerContext> tls)
        : tcp_(std::move(tcp)), tls_(std::move(tls)) {}
    Task<Result<std::unique_ptr<ByteStream>>> accept() override {
      while (true) {
        auto stream = co_await tcp_->accept();
        if (!stream) co_return stream;
        auto accepted =
            co_await tls_accept(tls_, std::move(*stream), Deadline::after(std::chrono::seconds(10)));
        if (accepted) co_return std::move(accepted->stream);
      }
    }

   private:
    std::unique_ptr<Listener> tcp_;
    std::shared_ptr<const TlsServerContext> tls_;
  };

  SelfSigned self_{"model.example"};
  std::shared_ptr<const TlsClientContext> trusts_ =
      TlsClientContext::create({.ca_file = self_.pair.certificate_file}).value();
};

class ThroughProxy final : public OverTcp {
 public:
  ClientRequest request(const std::string& path) const override {
    ClientRequest request{.url = Url::parse("http://model.invalid" + path).value(), .headers = {}};
    request.proxy = Proxy::parse(authority()).value();
    return request;
  }
};

class ByDialer final : public Way {
 public:
  std::unique_ptr<Listener> listen() override {
    auto ends = make_handover();
    dialer_ = std::make_shared<HandoverDialer>(ends->first.take(), "child");
    return std::make_unique<HandoverListener>(EventLoop::current(), ends->second.take(), [] {});
  }
  ClientRequest request(const std::string& path) const override {
    ClientRequest request{.url = Url::parse("http://child" + path).value(), .headers = {}};
    request.dialer = dialer_;
    return request;
  }
  bool keeps_connections() const override { return false; }

 private:
  std::shared_ptr<HandoverDialer> dialer_;
};

/// A server that reads whole requests and lets the test answer them.
class WireServer {
 public:
  /// Answers one request; false: the connection ends.
  using Answer = std::function<Task<bool>(ByteStream& to, std::string request)>;

  WireServer(Way& way, Answer answer) : listener_(way.listen()), answer_(std::move(answer)) {
    scope_.spawn(accept());
  }
  std::size_t connections = 0;
  std::size_t open = 0;
  std::size_t requests = 0;

 private:
  struct Open {
    explicit Open(std::size_t& open) : count(open) { ++count; }
    ~Open() { --count; }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;
    std::size_t& count;
  };

  Task<void> accept() {
    while (true) {
      auto stream = co_await listener_->accept();
      if (!stream) co_return;
      ++connections;
      scope_.spawn(serve(std::move(*stream)));
    }
  }
  static bool whole(const std::string& bytes) {
    const std::size_t head = bytes.find("\r\n\r\n");
    if (head == std::string::npos) return false;
    const std::size_t length = bytes.find("Content-Length: ");
    if (length == std::string::npos || length > head) return true;
    return bytes.size() >= head + 4 + std::stoul(bytes.substr(length + 16));
  }
  Task<void> serve(std::unique_ptr<ByteStream> stream) {
    const Open here(open);
    std::array<char, 4096> buffer;
    while (true) {
      std::string request;
      while (!whole(request)) {
        const auto count = co_await stream->read_some(std::span<char>(buffer));
        if (!count || *count == 0) co_return;
        request.append(buffer.data(), *count);
      }
      ++requests;
      if (!co_await answer_(*stream, std::move(request))) co_return;
    }
  }

  std::unique_ptr<Listener> listener_;
  Answer answer_;
  Scope scope_;
};

}  // namespace autoglm::http
