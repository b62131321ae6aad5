#include "app/config_center.h"

#include "app/builtins.h"
#include "base/sha256.h"
#include "config/load.h"
#include "config/render.h"
#include "http/client.h"
#include "runtime/race.h"
#include "runtime/scope.h"
#include "runtime/tls.h"

#include <fmt/format.h>

#include <utility>

namespace autoglm::app {

namespace {

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
  const std::string digest =
      sha256_hex(config::print(center::describe_center(), config, nullptr, config::Secrets::kHidden));
  return (cache / "center" / (digest.substr(0, 16) + ".yaml")).string();
}

std::string name_of(const center::CenterConfig& config) {
  if (config.file) return "file " + config.file->path;
  return config.consul ? "consul " + config.consul->key : "etcd " + config.etcd->key;
}

}  // namespace

ConfigCenter::ConfigCenter(center::CenterConfig config, const Environment& environment,
                           const std::filesystem::path& cache)
    : config_(std::move(config)),
      source_(std::make_shared<center::CenterSource>(name_of(config_), environment)),
      copy_(path_for_copy(config_, cache), name_of(config_)) {}

std::shared_ptr<ConfigCenter> ConfigCenter::named_by(const ConfigInputs& inputs,
                                                     const Environment& environment,
                                                     const std::filesystem::path& cache) {
  config::Node tree;
  config::Diagnostics problems;
  if (!config::merge(*describe_app().description(), inputs.sources, tree, problems)) return nullptr;
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

/// Until the center has said something, or `patience` is over. One that says no is not waited for where there
/// is a copy.
Task<void> ConfigCenter::ask(BlockingPool& names) {
  const auto tls = TlsClientContext::create();
  if (!tls) co_return fail(tls.error());
  http::Client client(names, *tls);
  const auto document = document_of(config_, client, names);
  if (!document) co_return fail(document.error());
  const auto kept = copy_.read();
  const bool has_copy = kept && *kept;
  co_await first_of((*document)->run(*this), [](ConfigCenter& center, bool hurries) -> Task<void> {
    const Deadline deadline = Deadline::after(center.config_.patience);
    while (!center.source_->offered() && !deadline.passed() && !(hurries && !center.trouble_.empty()))
      co_await sleep_for(std::chrono::milliseconds(5));
  }(*this, has_copy));
}

Result<void> ConfigCenter::begin() {
  EventLoop loop;
  BlockingPool names(1, 16);
  Scope scope;
  loop.post([&] {
    scope.spawn([](ConfigCenter& center, BlockingPool& on, EventLoop& until) -> Task<void> {
      co_await center.ask(on);
      until.stop();
    }(*this, names, loop));
  });
  loop.run();
  if (source_->try_offer()) return {};
  const std::string why = trouble_.empty() ? "it does not answer" : trouble_;
  if (fall_back({})) return {};
  return autoglm::fail(ErrorCode::kUnavailable,
                       fmt::format("center: {}: {}; and there is no copy of an earlier text at {}",
                                   source_->name(), why, copy_.path()));
}

bool ConfigCenter::fall_back(std::string why) {
  if (source_->in_force()) return false;
  auto kept = copy_.read();
  if (!kept || !*kept) return false;
  kept_ = (*kept)->text;
  source_->refuse(std::move(why));
  source_->restore(std::move(**kept));
  return true;
}

Task<void> ConfigCenter::follow(const Parts& parts) {
  const observe::Labels labels = {{"center", source_->name()}};
  told_.emplace(Told{
      .log = parts.log,
      .up = parts.metrics.gauge("autoglm_config_center_up",
                                "Whether the configuration center could be asked last.", labels),
      .failures = parts.metrics.counter("autoglm_config_center_failures_total",
                                        "How often the configuration center could not be asked.", labels)});
  auto tls = TlsClientContext::create();
  if (!tls) {
    fail(tls.error());
    co_return;
  }
  http::Client client(parts.names, *tls);
  auto document = document_of(config_, client, parts.names);
  if (!document) {
    fail(document.error());
    co_return;
  }
  trouble_.clear();
  co_await (*document)->run(*this);
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

Task<void> ConfigCenter::keep_copy(const Parts& parts) {
  const auto& version = source_->in_force();
  if (!version || version->text == kept_) co_return;
  std::string text = version->text;
  auto written = co_await parts.files.run([copy = copy_, kept = *version] { return copy.write(kept); });
  const Result<void> outcome = written ? std::move(*written) : autoglm::fail(written.error());
  if (outcome) {
    kept_ = std::move(text);
    co_return;
  }
  parts.log.warning("the configuration of the center could not be kept for the next start",
                    {{"center", source_->name()}, {"error", outcome.error().message}});
}

}  // namespace autoglm::app
