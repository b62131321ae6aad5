#include "app/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>

namespace autoglm::app {

namespace {

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double total = 0;
  double resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double open_descriptors() {
  std::error_code error;
  double count = 0;
  for (auto entry = std::filesystem::directory_iterator("/proc/self/fd", error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    ++count;
  }
  return count - 1;  // without the descriptor that reads the folder
}

}  // namespace

std::vector<std::shared_ptr<void>> process_metrics(observe::MetricRegistry& registry,
                                                   const observe::Logger& log) {
  using Kind = observe::MetricRegistry::Kind;
  std::vector<std::shared_ptr<void>> tokens;
  const auto add = [&](Kind kind, const char* name, const char* help, std::function<double()> read,
                       const observe::Labels& labels = {}) {
    tokens.push_back(registry.callback(kind, name, help, labels, std::move(read)));
  };
  add(Kind::kCounter, "process_cpu_seconds_total", "CPU time of the process.", cpu_seconds);
  add(Kind::kGauge, "process_resident_memory_bytes", "Resident memory of the process.", resident_bytes);
  add(Kind::kGauge, "process_open_fds", "Open file descriptors.", open_descriptors);
  add(Kind::kGauge, "process_start_time_seconds", "When the process began, in unix seconds.",
      [start = static_cast<double>(std::time(nullptr))] { return start; });
  add(Kind::kGauge, "autoglm_build_info", "1, with the version as a label.", [] { return 1.0; },
      {{"version", AUTOGLM_VERSION}});
  for (const auto level : {observe::LogLevel::kDebug, observe::LogLevel::kInfo, observe::LogLevel::kWarning,
                           observe::LogLevel::kError}) {
    add(Kind::kCounter, "autoglm_log_lines_total", "Lines logged, by level.",
        [&log, level] { return static_cast<double>(log.counts().by_level[static_cast<std::size_t>(level)]); },
        {{"level", std::string(to_string(level))}});
  }
  add(Kind::kCounter, "autoglm_log_lines_without_trace_id_total", "Lines that carried no trace id.",
      [&log] { return static_cast<double>(log.counts().without_trace_id); });
  add(Kind::kCounter, "autoglm_log_lines_dropped_total", "Lines dropped because their reader was too slow.",
      [&log] { return static_cast<double>(log.counts().dropped); });
  return tokens;
}

}  // namespace autoglm::app
