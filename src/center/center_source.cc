#include "center/center_source.h"

#include "config/yaml.h"

#include <utility>

namespace autoglm::center {

bool CenterSource::offer(Version version) {
  if (in_force_ && version.text == in_force_->text) {
    // The center went back to it, or wrote it once more.
    in_force_->version = std::move(version.version);
    offered_.reset();
    why_refused_.clear();
    is_new_ = false;
    return false;
  }
  // One byte more than is allowed: it is refused for its size.
  if (version.text.size() > config::YamlLimits{}.bytes) version.text.resize(config::YamlLimits{}.bytes + 1);
  const bool is_known = offered_ && offered_->text == version.text;
  offered_ = std::move(version);
  if (is_known) return is_new_;
  why_refused_.clear();
  is_new_ = true;
  return true;
}

void CenterSource::say(const std::optional<Version>& version) {
  says_ = version.has_value();
  set_text(says_ ? version->text : std::string());
}

bool CenterSource::try_offer() {
  if (!offered_) return false;
  is_new_ = false;
  tries_ = true;
  say(offered_);
  return true;
}

void CenterSource::restore(Version version) {
  in_force_ = std::move(version);
  if (!tries_) say(in_force_);
}

void CenterSource::accept() {
  if (!std::exchange(tries_, false)) return;
  in_force_ = std::exchange(offered_, std::nullopt);
  why_refused_.clear();
}

bool CenterSource::refuse(std::string why) {
  if (!std::exchange(tries_, false)) return false;
  why_refused_ = std::move(why);
  say(in_force_);
  return true;
}

bool CenterSource::changed(MonotonicTime /*now*/) { return is_new_ && try_offer(); }

bool CenterSource::read(const config::Section& root, config::Node& tree,
                        config::Diagnostics& problems) const {
  if (!says_) return true;
  config::Diagnostics mistakes;  // which are found again below
  if (const auto document = config::parse_yaml(name(), text(), mistakes)) {
    if (auto cut = config::find_cut(name(), text(), *document)) {
      problems.push_back(std::move(*cut));
      return false;
    }
    if (const auto* center = document->member("center"))
      problems.push_back({center->location, "center", "stands in the center's own text; take it out there"});
  }
  return YamlSource::read(root, tree, problems);
}

}  // namespace autoglm::center
