#include "observe/log/logger.h"

#include "observe/log/line.h"
#include "observe/log/log_writer.h"

#include <exception>
#include <utility>

namespace autoglm::observe {

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "info";
}

struct Logger::State {
  std::unique_ptr<LogWriter> writer;
  std::atomic<std::uint64_t> by_level[4] = {};
  std::atomic<std::uint64_t> without_trace_id{0};
};

Logger::Logger(Options options, std::unique_ptr<State> state)
    : options_(std::move(options)), level_(options_.level), state_(std::move(state)) {}

Logger::~Logger() { state_->writer->file().give_up_at(SteadyClock().now() + options_.flush_timeout); }

Result<std::unique_ptr<Logger>> Logger::create(Options options) {
  auto file = LogFile::open(options.file);
  if (!file) return fail(file.error());
  auto state = std::make_unique<State>();
  try {
    state->writer = std::make_unique<LogWriter>(std::move(*file), options.queue_lines,
                                                LineStyle{.format = options.format,
                                                          .colours = options.colours,
                                                          .service_name = options.service_name,
                                                          .process_trace_id = options.process_trace_id});
  } catch (const std::exception& exception) {  // no thread available
    return fail(ErrorCode::kUnavailable, std::string("cannot start the log's thread: ") + exception.what());
  }
  return std::unique_ptr<Logger>(new Logger(std::move(options), std::move(state)));
}

void Logger::log(LogLevel level, std::string_view message, Fields fields, std::string_view trace_id) {
  if (!enabled(level)) return;
  if (trace_id.empty() && options_.process_trace_id.empty())
    state_->without_trace_id.fetch_add(1, std::memory_order_relaxed);
  add(level, [&](NotedLine& line) { line.fields(message, fields, trace_id); });
}

void Logger::words(LogLevel level, std::string_view words) {
  if (!enabled(level)) return;
  add(level, [&](NotedLine& line) { line.words(words); });
}

/// Adds the line that `write` makes, on this thread.
template <class Write>
void Logger::add(LogLevel level, const Write& write) {
  count(level);
  thread_local std::string buffer;
  buffer.clear();
  NotedLine line(state_->writer->style(), std::chrono::system_clock::now(), level, buffer);
  write(line);
  state_->writer->add(buffer);
}

void Logger::note(LogLevel level, NoteLayout layout, std::span<const std::string_view> facts) noexcept {
  if (!enabled(level)) return;
  count(level);
  state_->writer->add({.layout = layout, .time = std::chrono::system_clock::now(), .level = level}, facts);
}

void Logger::count(LogLevel level) {
  state_->by_level[static_cast<std::size_t>(level)].fetch_add(1, std::memory_order_relaxed);
}

bool Logger::relay(std::string_view line) {
  const auto level = level_of(line, options_.format);
  if (!level) return false;
  count(*level);
  state_->writer->add(line);
  return true;
}

Logger::Counts Logger::counts() const {
  Counts counts;
  for (std::size_t i = 0; i < 4; ++i)
    counts.by_level[i] = state_->by_level[i].load(std::memory_order_relaxed);
  counts.without_trace_id = state_->without_trace_id.load(std::memory_order_relaxed);
  counts.dropped = state_->writer->lost();
  return counts;
}

Result<void> Logger::reopen() { return state_->writer->file().reopen(); }

}  // namespace autoglm::observe
