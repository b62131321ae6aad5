#include "observe/log/log_writer.h"

#include <chrono>
#include <cstring>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

namespace autoglm::observe {

namespace {
constexpr auto kGather = std::chrono::milliseconds(5);
// Written at once. More lines than this wait only when the file was slow.
constexpr std::size_t kAtOnce = std::size_t{256} << 10U;
}  // namespace

static_assert(std::is_trivially_copyable_v<LogWriter::Entry>, "its bytes lie among those of the lines");

LogWriter::LogWriter(std::unique_ptr<LogFile> file, std::size_t limit, LineStyle style)
    : file_(std::move(file)), limit_(limit), style_(std::move(style)), thread_([this] { run(); }) {}

LogWriter::~LogWriter() {
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void LogWriter::add(Entry entry, std::span<const std::string_view> parts) noexcept {
  entry.size = 0;
  for (const std::string_view part : parts) entry.size += part.size();
  bool wake = false;
  {
    const std::scoped_lock lock(mutex_);
    if (count_ == limit_) {
      ++dropped_;
      return;
    }
    const std::size_t begin = entries_.size();
    const std::size_t end = begin + sizeof entry + entry.size;
    try {
      entries_.resize_and_overwrite(end, [&](char* bytes, std::size_t /*may be more*/) {
        char* at = bytes + begin;
        std::memcpy(at, &entry, sizeof entry);
        at += sizeof entry;
        for (const std::string_view part : parts) at += part.copy(at, part.size());
        return end;
      });
    } catch (const std::bad_alloc&) {
      ++dropped_;
      return;
    }
    ++count_;
    wake = std::exchange(asleep_, false) || count_ == limit_ / 2;
  }
  if (wake) wake_.notify_one();
}

std::uint64_t LogWriter::lost() const {
  const std::scoped_lock lock(mutex_);
  return dropped_ + file_->lost();
}

void LogWriter::run() {
  std::string taken;
  std::unique_lock lock(mutex_);
  while (true) {
    asleep_ = true;
    wake_.wait(lock, [this] { return count_ > 0 || closed_; });
    asleep_ = false;
    if (count_ == 0) return;
    wake_.wait_for(lock, kGather, [this] { return count_ >= limit_ / 2 || closed_; });
    taken.swap(entries_);
    count_ = 0;
    lock.unlock();
    write(taken);
    taken.clear();
    lock.lock();
  }
}

void LogWriter::write(std::string_view entries) {
  while (!entries.empty()) {
    Entry entry;
    std::memcpy(&entry, entries.data(), sizeof entry);
    entries.remove_prefix(sizeof entry);
    const std::size_t begin = text_.size();
    try {
      lay_out(entry, entries.substr(0, entry.size));
    } catch (const std::exception&) {  // no memory for this line
      text_.resize(begin);
      const std::scoped_lock lock(mutex_);
      ++dropped_;
    }
    entries.remove_prefix(entry.size);
    if (text_.size() < kAtOnce && !entries.empty()) continue;
    file_->write(text_);
    text_.clear();
  }
}

void LogWriter::lay_out(const Entry& entry, std::string_view bytes) {
  if (entry.layout == nullptr) {
    text_ += bytes;
  } else {
    NotedLine line(style_, entry.time, entry.level, text_);
    entry.layout(bytes, line);
  }
  text_ += '\n';
}

}  // namespace autoglm::observe
