#pragma once

#include "center/document.h"
#include "config/sources.h"

#include <optional>
#include <string>

namespace autoglm::center {

/// A center's text as a source of configuration. It has two texts at most: the one in force, and one that the
/// center has now and that is tried at the next reading. A refused one waits until it changes, or something
/// else does that it may depend on. Not thread-safe.
class CenterSource final : public config::YamlSource {
 public:
  CenterSource(std::string name, config::Environment environment)
      : YamlSource(std::move(name), {}, std::move(environment)) {}

  /// What the center says now. Whether it is worth a reading: neither in force nor refused already.
  bool offer(Version version);
  /// From now on says what the center says, be it refused before. Whether that is not in force yet.
  bool try_offer();
  /// This text was in force before the process was: says it, but for an offer that is tried.
  void restore(Version version);
  /// What it says is in force.
  void accept();
  /// What it says is not: says again what is. Whether it was the offer that stood in the way.
  bool refuse(std::string why);

  /// Says the offer from now on, when there is a new one.
  bool changed(MonotonicTime now) override;
  /// Without a text it says nothing. Also refuses what seems to be a part of a text, and a `center` in it.
  bool read(const config::Section& root, config::Node& tree, config::Diagnostics& problems) const override;

  const std::optional<Version>& in_force() const { return in_force_; }
  /// What the center says and is not in force; nothing: it is.
  const std::optional<Version>& offered() const { return offered_; }
  /// Why the offer was refused; empty: it was not tried yet.
  const std::string& why_refused() const { return why_refused_; }

 private:
  void say(const std::optional<Version>& version);

  std::optional<Version> in_force_;
  std::optional<Version> offered_;
  std::string why_refused_;
  bool is_new_ = false;  // the offer was not tried yet
  bool says_ = false;    // anything
  bool tries_ = false;   // what it says is the offer
};

}  // namespace autoglm::center
