#include "fate.h"

#include <initializer_list>

namespace autoglm::simulation {

Fate fate(Random& random, Mood mood) {
  const auto one_of = [&random](std::initializer_list<Fate> fates) {
    return fates.begin()[random.below(fates.size())];
  };
  using enum Fate;
  switch (mood) {
    case Mood::kSlow:
      return kAnswersSlowly;
    case Mood::kFailing:
      return random.below(4) == 0 ? kAnswers : one_of({kStatus500, kResetsUnread, kEndsUnread, kStatus500});
    case Mood::kBreaking:
      return random.below(3) == 0 ? kAnswers : one_of({kBreaksOff, kResets, kGarbage, kErrorEvent});
    case Mood::kHanging:
      return random.below(4) == 0 ? kAnswers : one_of({kSilent, kFallsSilent});
    case Mood::kBusy:
      return random.below(3) == 0 ? kAnswers : one_of({kStatus503, kStatus429});
    case Mood::kRude:
      return one_of({kAnswers, kSaysMore, kCloses, kSaysMore});
    case Mood::kStrange:
      return random.below(3) == 0 ? kAnswers : one_of({kMisconfigured, kStatus400});
    default:
      return kAnswers;
  }
}

}  // namespace autoglm::simulation
