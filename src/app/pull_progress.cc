#include "app/pull_progress.h"

#include "engine/models/partial_file.h"

#include <fmt/format.h>

#include <algorithm>

namespace autoglm::app {

namespace {

constexpr std::uint64_t kUnknownStep = 64ULL << 20U;  // bytes between lines when the total is unknown

std::string left_time(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::clamp(seconds, 0.0, 359'999.0));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

std::string PullProgress::bar(std::uint64_t done, std::uint64_t total, double seconds) const {
  const double share = total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
  const double speed =
      seconds > 0 ? static_cast<double>(done - std::min(done, begun_at_.value_or(0))) / seconds : 0;
  const std::string left =
      speed > 0 && done < total ? " " + left_time(static_cast<double>(total - done) / speed) + " left" : "";
  // No speed is shown before bytes have come, or while none come.
  const std::string pace =
      speed >= 1 ? fmt::format(", {}/s", engine::shown_bytes(static_cast<std::uint64_t>(speed))) : "";
  const std::string words =
      fmt::format(" {:3.0f} % of {}{}{}", 100 * share, engine::shown_bytes(total), pace, left);
  const std::size_t room =
      columns_ > words.size() + 3 ? std::min<std::size_t>(columns_ - words.size() - 3, 40) : 0;
  const auto full = std::min(room, static_cast<std::size_t>(share * static_cast<double>(room)));
  return fmt::format("\r[{}{}]{}\x1b[K", std::string(full, '#'), std::string(room - full, ' '), words);
}

std::string PullProgress::next(std::uint64_t done, std::optional<std::uint64_t> total, double seconds) {
  if (!begun_at_ && done > 0) begun_at_ = done;
  if (columns_ > 0) {
    if (done == 0 && !shown_) return {};
    shown_ = true;
    if (total) return bar(done, std::max(done, *total), seconds);
    return fmt::format("\r{}\x1b[K", engine::shown_bytes(done));
  }
  const std::uint64_t step = total ? 10 * done / std::max<std::uint64_t>(1, *total) : done / kUnknownStep;
  if (step <= said_) return {};
  said_ = step;
  if (!total) return fmt::format("{}\n", engine::shown_bytes(done));
  return fmt::format("{} % of {}\n", 10 * step, engine::shown_bytes(*total));
}

std::string PullProgress::clear() {
  if (!shown_) return {};
  shown_ = false;
  return "\r\x1b[K";
}

}  // namespace autoglm::app
