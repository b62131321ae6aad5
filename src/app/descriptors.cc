#include "app/descriptors.h"

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <limits>

namespace autoglm::app {

namespace {
constexpr std::size_t kOthers = 32;
}

Descriptors Descriptors::read() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  Descriptors read;
  if (limit.rlim_cur != RLIM_INFINITY) read.limit = limit.rlim_cur;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator("/proc/self/fd", error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
    ++read.open;
  return read;
}

std::uint32_t connections_within(const Descriptors& descriptors, std::uint32_t wanted, bool gateway) {
  if (descriptors.limit == 0) return wanted;
  const std::size_t taken = descriptors.open + kOthers;
  const std::size_t left = descriptors.limit > taken ? descriptors.limit - taken : 0;
  const std::size_t most = std::max<std::size_t>(1, gateway ? left / 2 : left);
  return static_cast<std::uint32_t>(std::min<std::size_t>(wanted, most));
}

std::uint32_t connections_that_fit(std::uint32_t wanted, bool gateway, observe::Logger& log) {
  const Descriptors descriptors = Descriptors::read();
  const std::uint32_t fit = connections_within(descriptors, wanted, gateway);
  if (fit < wanted)
    log.info("the limit of open files leaves room for fewer connections than configured",
             {{"connections", fit}, {"max_connections", wanted}, {"open_files", descriptors.limit}});
  return fit;
}

}  // namespace autoglm::app
