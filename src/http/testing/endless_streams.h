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

/// A peer that says a text at once and then waits, and takes all that it is sent.
class SpeakingStream : public ByteStream {
 public:
  explicit SpeakingStream(std::string text) : text_(std::move(text)) {}
  Task<Result<std::size_t>> read_some(std::span<char> buffer) override {
    if (at_ == text_.size()) co_await never_.wait();
    co_return say(buffer);
  }
  Task<Result<void>> write_all(std::span<const std::string_view> /*parts*/) override { co_return {}; }
  void watch(StreamWatch* /*watch*/) override {}
  bool peer_ended() const override { return false; }
  std::uint64_t taken() const override { return 0; }
  Task<Result<void>> shutdown_write() override { co_return {}; }
  void close() override {}
  const std::string& peer() const override { return peer_; }
  std::size_t said() const { return at_; }

 protected:
  std::size_t say(std::span<char> buffer) {
    const std::size_t count = text_.copy(buffer.data(), buffer.size(), at_);
    at_ += count;
    return count;
  }

  Signal never_;

 private:
  std::string text_;
  std::size_t at_ = 0;
  std::string peer_ = "speaking:1";
};

/// Always has more to read, at most `most` bytes at a time: the text, and behind it one letter without end.
class EndlessStream final : public SpeakingStream {
 public:
  EndlessStream(std::string text, std::size_t most) : SpeakingStream(std::move(text)), most_(most) {}
  Task<Result<std::size_t>> read_some(std::span<char> buffer) override {
    const std::size_t count = std::min(buffer.size(), most_);
    std::ranges::fill(buffer.first(count), 'x');
    say(buffer.first(count));
    co_return count;
  }

 private:
  std::size_t most_;
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

/// Takes nothing of what it is sent.
class StuckStream final : public SpeakingStream {
 public:
  using SpeakingStream::SpeakingStream;
  Task<Result<void>> write_all(std::span<const std::string_view> /*parts*/) override {
    co_await never_.wait();
    co_return {};
  }
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
