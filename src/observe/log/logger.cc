#include "observe/log/logger.h"

#include "observe/log/line.h"
#include "observe/log/log_file.h"

#include <spdlog/async.h>

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
  std::shared_ptr<LogFile> file;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> sink;
  std::atomic<std::uint64_t> by_level[4] = {};
  std::atomic<std::uint64_t> without_trace_id{0};
};

Logger::Logger(Options options, std::unique_ptr<State> state)
    : options_(std::move(options)), level_(options_.level), state_(std::move(state)) {}

Logger::~Logger() {
  // The pool's destructor drains its queue and joins its thread, which thereby never is the last to hold the
  // sink.
  state_->file->give_up_at(SteadyClock().now() + options_.flush_timeout);
  state_->pool.reset();
  state_->sink.reset();
}

Result<std::unique_ptr<Logger>> Logger::create(Options options) {
  auto file = LogFile::open(options.file);
  if (!file) return fail(file.error());
  auto state = std::make_unique<State>();
  state->file = std::move(*file);
  try {
    state->pool = std::make_shared<spdlog::details::thread_pool>(options.queue_lines, 1);
    state->sink = std::make_shared<spdlog::async_logger>("log", state->file, state->pool,
                                                         spdlog::async_overflow_policy::overrun_oldest);
    state->sink->set_level(spdlog::level::trace);
  } catch (const std::exception& exception) {  // no thread to be had
    return fail(ErrorCode::kUnavailable, std::string("cannot start the log's thread: ") + exception.what());
  }
  return std::unique_ptr<Logger>(new Logger(std::move(options), std::move(state)));
}

void Logger::log(LogLevel level, std::string_view message, Fields fields, std::string_view trace_id) {
  if (!enabled(level)) return;
  state_->by_level[static_cast<std::size_t>(level)].fetch_add(1, std::memory_order_relaxed);
  if (trace_id.empty()) trace_id = options_.process_trace_id;
  if (trace_id.empty()) state_->without_trace_id.fetch_add(1, std::memory_order_relaxed);
  const LogLine line{.time = std::chrono::system_clock::now(),
                     .level = level,
                     .service_name = options_.service_name,
                     .message = message,
                     .trace_id = trace_id,
                     .fields = fields};
  thread_local std::string buffer;
  buffer.clear();
  if (options_.format == LogFormat::kJson) {
    append_json_line(buffer, line);
  } else {
    append_text_line(buffer, line);
  }
  state_->sink->log(spdlog::level::info, spdlog::string_view_t(buffer.data(), buffer.size()));
}

Logger::Counts Logger::counts() const {
  Counts counts;
  for (std::size_t i = 0; i < 4; ++i)
    counts.by_level[i] = state_->by_level[i].load(std::memory_order_relaxed);
  counts.without_trace_id = state_->without_trace_id.load(std::memory_order_relaxed);
  counts.dropped = state_->pool->overrun_counter() + state_->file->lost();
  return counts;
}

Result<void> Logger::reopen() { return state_->file->reopen(); }

}  // namespace autoglm::observe
