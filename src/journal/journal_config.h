#pragma once

#include "base/clock.h"
#include "config/descriptor.h"
#include "journal/journal.h"

#include <array>
#include <chrono>
#include <string>

namespace autoglm::journal {

inline std::array<config::EnumName<OnFailure>, 2> enum_names(OnFailure) {
  return {{{"refuse", OnFailure::kRefuse}, {"serve", OnFailure::kServe}}};
}
inline std::array<config::EnumName<Sync>, 3> enum_names(Sync) {
  return {{{"each", Sync::kEachCommit}, {"second", Sync::kPeriodic}, {"never", Sync::kNever}}};
}

/// `journal:`.
struct JournalConfig {
  std::string path;
  Duration retention = std::chrono::hours(24 * 62);
  OnFailure on_failure = OnFailure::kRefuse;
  Sync sync = Sync::kPeriodic;

  Journal::Options options() const {
    return {.path = path, .retention = retention, .sync = sync, .on_failure = on_failure};
  }
  bool operator==(const JournalConfig&) const = default;
};

config::Descriptor<JournalConfig> describe_journal();

}  // namespace autoglm::journal
