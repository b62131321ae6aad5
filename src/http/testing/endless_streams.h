#pragma once

#include "runtime/byte_stream.h"
#include "runtime/dialer.h"
#include "runtime/signal.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace autoglm::http {

/// Always has more to read, at most so much at a time: a text, and behind it one letter without end.
class EndlessStream final : public ByteStream {
 public:
  EndlessStream(std::string text, std::size_t most) : text_(std::move(text)), most_(most) {}
  Task<Result<std::size_t>> read_some(std::span<char> buffer) override {
    const std::size_t count = std::min(buffer.size(), most_);
    std::ranges::fill(buffer.first(count), 'x');
    at_ += text_.copy(buffer.data(), count, at_);
    co_return count;
  }
  Task<Result<void>> write_all(std::span<const std::string_view> /*parts*/) override { co_return {}; }
  void watch(StreamWatch* /*watch*/) override {}
  bool peer_ended() const override { return false; }
  std::uint64_t taken() const override { return 0; }
  Task<Result<void>> shutdown_write() override { co_return {}; }
  void close() override {}
  const std::string& peer() const override { return peer_; }

 private:
  std::string text_;
  std::size_t most_;
  std::size_t at_ = 0;
  std::string peer_ = "endless";
};

class EndlessDialer final : public Dialer {
 public:
  EndlessDialer(std::string text, std::size_t most) : text_(std::move(text)), most_(most) {}
  Task<Result<std::unique_ptr<ByteStream>>> dial(Deadline /*deadline*/) override {
    co_return std::make_unique<EndlessStream>(text_, most_);
  }

 private:
  std::string text_;
  std::size_t most_;
};

/// Takes nothing of what it is sent, and says a text meanwhile.
class StuckStream final : public ByteStream {
 public:
  explicit StuckStream(std::string text) : text_(std::move(text)) {}
  Task<Result<std::size_t>> read_some(std::span<char> buffer) override {
    if (at_ == text_.size()) co_await never_.wait();
    const std::size_t count = text_.copy(buffer.data(), buffer.size(), at_);
    at_ += count;
    co_return count;
  }
  Task<Result<void>> write_all(std::span<const std::string_view> /*parts*/) override {
    co_await never_.wait();
    co_return {};
  }
  void watch(StreamWatch* /*watch*/) override {}
  bool peer_ended() const override { return false; }
  std::uint64_t taken() const override { return 0; }
  Task<Result<void>> shutdown_write() override { co_return {}; }
  void close() override {}
  const std::string& peer() const override { return peer_; }

 private:
  std::string text_;
  std::size_t at_ = 0;
  Signal never_;
  std::string peer_ = "stuck";
};

class StuckDialer final : public Dialer {
 public:
  explicit StuckDialer(std::string text) : text_(std::move(text)) {}
  Task<Result<std::unique_ptr<ByteStream>>> dial(Deadline /*deadline*/) override {
    co_return std::make_unique<StuckStream>(text_);
  }

 private:
  std::string text_;
};

}  // namespace autoglm::http
