#include "app/config_center.h"

#include "app/builtins.h"
#include "base/sha256.h"
#include "cluster/registries/retry_delay.h"
#include "config/load.h"
#include "http/client.h"
#include "runtime/race.h"
#include "runtime/scope.h"
#include "runtime/tls.h"

#include <fmt/format.h>

#include <utility>

namespace autoglm::app {

namespace {

constexpr Duration kBetweenCopies = std::chrono::minutes(1);  // of which the first could not be written
constexpr Duration kHurry = std::chrono::seconds(2);
// What the system's resolver may take for a name, with several servers and search lists.
constexpr Duration kLongestLookup = std::chrono::minutes(2);

/// The configuration as far as the center is concerned.
struct OnlyCenter {
  std::optional<center::CenterConfig> center;
};

config::Descriptor<OnlyCenter> describe_only_center() {
  return config::Descriptor<OnlyCenter>("open-autoglm", "Where the configuration is.")
      .section("center", &OnlyCenter::center, center::describe_center());
}

/// The `center` of a tree.
class CenterOfTree final : public config::Source {
 public:
  explicit CenterOfTree(const config::Node::Member& center) : center_(center) {}
  std::string name() const override { return "center"; }
  bool read(const config::Section& /*root*/, config::Node& tree,
            config::Diagnostics& /*problems*/) const override {
    tree.kind = config::Node::Kind::kMapping;
    tree.members.push_back(center_);
    return true;
  }

 private:
  const config::Node::Member& center_;
};

std::string path_for_copy(const center::CenterConfig& config, const std::filesystem::path& cache) {
  if (!config.copy.empty()) return config.copy;
  // By its address, too: two servers of one machine may follow keys of one name in two centers.
  return (cache / "center" / (sha256_hex(asks(config)).substr(0, 16) + ".yaml")).string();
}

std::string document_name(const center::CenterConfig& config) {
  if (config.file) return "file " + config.file->path;
  if (config.consul) return "consul " + config.consul->key;
  if (config.etcd) return "etcd " + config.etcd->key;
  if (config.nacos) {
    return fmt::format("nacos {} {} {}", config.nacos->access.name_space, config.nacos->group,
                       config.nacos->data_id);
  }
  const center::ConfigMapConfig& map = *config.kubernetes;
  return fmt::format("kubernetes {}/{} {}", map.space.empty() ? "(the pod's)" : map.space, map.config_map,
                     map.key);
}

}  // namespace

ConfigCenter::ConfigCenter(center::CenterConfig config, const Environment& environment,
                           const std::filesystem::path& cache)
    : config_(std::move(config)),
      source_(std::make_shared<center::CenterSource>(document_name(config_), environment)),
      copy_(path_for_copy(config_, cache), document_name(config_)) {}

std::shared_ptr<ConfigCenter> ConfigCenter::named_by(const ConfigInputs& inputs,
                                                     const Environment& environment,
                                                     const std::filesystem::path& cache) {
  config::Node tree;
  config::Diagnostics problems;
  // What is wrong here is found again when all is read.
  if (!config::merge(*describe_app().description(), inputs.sources, tree, problems) || !problems.empty())
    return nullptr;
  const config::Node::Member* const member = [&tree]() -> const config::Node::Member* {
    for (const auto& each : tree.members)
      if (each.key == "center") return &each;
    return nullptr;
  }();
  if (member == nullptr) return nullptr;
  auto read = config::load(describe_only_center(), config::Sources{std::make_shared<CenterOfTree>(*member)});
  if (!read || !read->center) return nullptr;
  return std::make_shared<ConfigCenter>(std::move(*read->center), environment, cache);
}

/// Until the center has said something, or `patience` is over. One that fails for long is not waited for
/// where there is a copy.
Task<Result<void>> ConfigCenter::ask(BlockingPool& pool) {
  const auto tls = TlsClientContext::create();
  if (!tls) co_return autoglm::fail(tls.error());
  http::Client client(pool, *tls);
  const auto document = document_of(config_, {.client = client, .files = pool, .names = pool});
  if (!document) co_return autoglm::fail(document.error());
  const auto kept = copy_.read();
  const bool has_copy = kept && *kept;
  co_await first_of((*document)->run(*this), [](ConfigCenter& center, bool hurries) -> Task<void> {
    const Deadline deadline = Deadline::after(center.config_.patience);
    const Deadline soon = Deadline::after(kHurry);
    while (!center.source_->offered() && !deadline.passed() &&
           !(hurries && soon.passed() && !center.trouble_.empty()))
      co_await sleep_for(std::chrono::milliseconds(5));
  }(*this, has_copy));
  co_return Result<void>();
}

Result<void> ConfigCenter::begin() {
  start_ = std::make_unique<Start>();
  Result<void> asked;
  Scope scope;
  start_->loop.post([&] {
    scope.spawn([](ConfigCenter& center, Start& with, Result<void>& out) -> Task<void> {
      out = co_await center.ask(with.pool);
      with.loop.stop();
    }(*this, *start_, asked));
  });
  start_->loop.run();
  if (!asked) trouble_ = asked.error().message;
  if (source_->try_offer()) return {};
  const std::string why = trouble_.empty() ? "it does not answer" : trouble_;
  if (fall_back({})) return {};
  const auto kept = copy_.read();
  return autoglm::fail(
      ErrorCode::kUnavailable,
      fmt::format("center: {}: {}; and there is no copy of an earlier text at {}{}", source_->name(), why,
                  copy_.path(), kept ? "" : ": " + kept.error().message));
}

bool ConfigCenter::fall_back(std::string why) {
  if (source_->in_force()) return false;
  auto kept = copy_.read();
  if (!kept || !*kept) return false;
  kept_ = (*kept)->text;
  while (why.ends_with('\n')) why.pop_back();
  source_->refuse(std::move(why));
  source_->restore(std::move(**kept));
  began_with_copy_ = true;
  return true;
}

Task<void> ConfigCenter::follow(Parts parts) {
  const observe::Labels labels = {{"center", source_->name()}};
  told_.emplace(Told{
      .log = parts.log,
      .up = parts.metrics.gauge("autoglm_config_center_up",
                                "Whether the configuration center could be asked last.", labels),
      .failures = parts.metrics.counter("autoglm_config_center_failures_total",
                                        "How often the configuration center could not be asked.", labels)});
  trouble_.clear();
  Scope tasks;
  tasks.spawn(follow_document(parts));
  tasks.spawn(write_copies(parts));
  tasks.spawn([](ConfigCenter& center) -> Task<void> {
    co_await sleep_for(kLongestLookup);
    center.start_.reset();
  }(*this));
  co_await tasks.join();
}

/// A certificate that cannot be read is tried again: it may be being replaced.
Task<void> ConfigCenter::follow_document(Parts parts) {
  Random random = Random::from_entropy();
  cluster::RetryDelay delay;
  while (true) {
    auto tls = TlsClientContext::create();
    Error why;
    if (tls) {
      http::Client client(parts.names, *tls);
      auto document = document_of(config_, {.client = client, .files = parts.files, .names = parts.names});
      if (document) co_await (*document)->run(*this);
      if (!document) why = std::move(document).error();
    } else {
      why = std::move(tls).error();
    }
    fail(why);
    co_await sleep_for(delay.next(random));
  }
}

void ConfigCenter::push(center::Version version) {
  if (told_) told_->up.set(1);
  if (told_ && !trouble_.empty())
    told_->log.info("the configuration center can be asked again", {{"center", source_->name()}});
  trouble_.clear();
  if (source_->offer(std::move(version))) news_.set();
}

void ConfigCenter::fail(const Error& error) {
  if (told_) {
    told_->up.set(0);
    told_->failures.add();
    if (trouble_ != error.message) {
      told_->log.warning("the configuration center cannot be asked; what it said last stays",
                         {{"center", source_->name()}, {"error", error.message}});
    }
  }
  trouble_ = error.message;
}

/// One at a time, on a thread that may block for long: nothing waits for a disk.
Task<void> ConfigCenter::write_copies(Parts parts) {
  while (true) {
    co_await copy_due_.wait();
    copy_due_.clear();
    if (!source_->in_force() || source_->in_force()->text == kept_) continue;
    const center::Version version = *source_->in_force();
    auto written =
        co_await parts.files.run([copy = copy_, version] { return copy.write(version); }, {.is_long = true});
    const Result<void> outcome = written ? std::move(*written) : autoglm::fail(written.error());
    if (outcome) {
      kept_ = version.text;
      continue;
    }
    parts.log.warning("the configuration of the center could not be kept for the next start",
                      {{"center", source_->name()}, {"error", outcome.error().message}});
    co_await sleep_for(kBetweenCopies);
    copy_due_.set();
  }
}

}  // namespace autoglm::app
