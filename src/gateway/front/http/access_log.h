#pragma once

#include "base/clock.h"
#include "gateway/front/http/request_record.h"
#include "observe/log/logger.h"

namespace autoglm::gateway {

/// Writes a line for each request that has ended. The request pays for a copy of its facts; the log's thread
/// lays out the line. Thread-safe; the logger must outlive it.
class AccessLog {
 public:
  /// `level` is that of its lines.
  AccessLog(observe::Logger& log, observe::LogLevel level) : log_(log), level_(level) {}

  void write(const RequestRecord& record, Duration took) const noexcept;

 private:
  observe::Logger& log_;
  const observe::LogLevel level_;
};

}  // namespace autoglm::gateway
