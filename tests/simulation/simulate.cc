#include "path_world.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <string>

/// `./dev simulate`: one world after another, with seeds from --seed on, for --seconds of the host's time, or
/// --worlds of them. Ends with 1 at the first world with a broken promise, and says how to repeat it.

namespace autoglm::simulation {
namespace {

using namespace std::chrono_literals;

constexpr Duration kBetweenNews = 10s;

struct Options {
  std::uint64_t seed = 1;
  std::uint64_t seconds = 0;
  std::uint64_t worlds = 0;
  bool log = false;
};

std::string with_commas(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

void print(const Sums& sums) {
  const auto count = [&](Ending ending) {
    return with_commas(sums.by_ending[static_cast<std::size_t>(ending)]);
  };
  fmt::print("  requests    {} in {} s of virtual time: {} answered whole, {} streamed to their end,\n",
             with_commas(sums.calls), with_commas(sums.virtual_seconds), count(Ending::kWhole),
             count(Ending::kFinished));
  fmt::print("              {} streams ended by an error, {} refused, {} clients left, {} not taken\n",
             count(Ending::kErrorEvent), count(Ending::kRefused), count(Ending::kLeft),
             count(Ending::kNotTaken));
  fmt::print("  refusals   ");
  for (std::size_t status = 0; status < sums.by_status.size(); ++status)
    if (sums.by_status[status] > 0) fmt::print(" {} x {}", with_commas(sums.by_status[status]), status);
  fmt::print("\n  servers     {} attempts, {} of them again, {} resumed streams; {} tokens; {} faults\n",
             with_commas(sums.attempts), with_commas(sums.retries), with_commas(sums.resumes),
             with_commas(sums.tokens), with_commas(sums.faults));
}

int run(const Options& options) {
  const auto began = std::chrono::steady_clock::now();
  const auto took = [&] { return std::chrono::steady_clock::now() - began; };
  const bool endless = options.worlds == 0 && options.seconds > 0;
  const std::uint64_t worlds =
      endless ? std::numeric_limits<std::uint64_t>::max() : std::max<std::uint64_t>(options.worlds, 1);
  Duration news = kBetweenNews;
  Sums sums;
  std::uint64_t done = 0;
  bool kept = true;
  while (kept && done < worlds && (options.seconds == 0 || took() < std::chrono::seconds(options.seconds))) {
    const std::uint64_t seed = options.seed + done++;
    PathWorld world(seed);
    world.run();
    sums += world.sums();
    if (options.log) std::fputs(world.log().c_str(), stderr);
    for (const std::string& breach : world.breaches()) fmt::print("seed {}: {}\n", seed, breach);
    kept = world.breaches().empty();
    if (worlds <= 4) fmt::print("seed {}: fingerprint {:016x}\n", seed, world.fingerprint());
    if (took() >= news) {
      fmt::print("{:5.0f} s  {} worlds, {} requests, {} faults\n", to_seconds(took()), done,
                 with_commas(sums.calls), with_commas(sums.faults));
      std::fflush(stdout);
      news += kBetweenNews;
    }
  }
  const double seconds = to_seconds(took());
  fmt::print("{} worlds, seeds {} to {}, in {:.1f} s, {:.1f} us a request\n", done, options.seed,
             options.seed + done - 1, seconds,
             1e6 * seconds / static_cast<double>(std::max<std::uint64_t>(sums.calls, 1)));
  print(sums);
  if (kept) {
    fmt::print("All that is promised was kept.\n");
  } else {
    fmt::print("Something was not kept, see above. Again: ./dev simulate --seed {}\n",
               options.seed + done - 1);
  }
  return kept ? 0 : 1;
}

}  // namespace
}  // namespace autoglm::simulation

int main(int argc, char** argv) {
  autoglm::simulation::Options options;
  CLI::App app(
      "The whole path of requests on a simulated machine, world after world (tests/simulation/README.md).",
      "./dev simulate");
  app.add_option("--seed", options.seed, "of the first world; each further one has the next")
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "of ours, for which worlds are begun (default: one world)");
  app.add_option("--worlds", options.worlds, "how many at most");
  app.add_flag("--log", options.log, "print what the gateway logs, to stderr");
  CLI11_PARSE(app, argc, argv);
  return autoglm::simulation::run(options);
}
