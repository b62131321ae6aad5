#include "observe/log/log_writer.h"

#include <chrono>
#include <utility>

namespace autoglm::observe {

namespace {
constexpr auto kGather = std::chrono::milliseconds(5);
}

LogWriter::LogWriter(std::unique_ptr<LogFile> file, std::size_t limit)
    : file_(std::move(file)), limit_(limit), thread_([this] { run(); }) {}

LogWriter::~LogWriter() {
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void LogWriter::add(std::string_view line) {
  bool wake = false;
  {
    const std::scoped_lock lock(mutex_);
    if (count_ == limit_) {
      ++dropped_;
      return;
    }
    lines_ += line;
    lines_ += '\n';
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
    taken.swap(lines_);
    count_ = 0;
    lock.unlock();
    file_->write(taken);
    taken.clear();
    lock.lock();
  }
}

}  // namespace autoglm::observe
