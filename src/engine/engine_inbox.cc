#include "engine/engine_inbox.h"

#include <utility>

namespace autoglm::engine {

namespace {

constexpr std::size_t kMostPreparedInAll = 2 * kMostPreparedBytes;

}  // namespace

// With shares twice as many requests may be here as there are places. One sends at most a submission, a
// cancellation and one wake-up that is not yet read.
EngineInbox::EngineInbox(std::uint32_t places)
    : mailbox(std::size_t{8} * places + 64), pool(places, kMostPreparedInAll) {}

void EngineInbox::cancel(GenerationId id) {
  sent_.fetch_add(1);  // before it is looked whose step it is: see begin_step()
  // If the step computes nothing else, it can stop now; otherwise max_stall bounds it anyway.
  if (alone_.load() == id.value) stop.set();
  // There is room for one per submission, and the engine bounds those, so only a closed mailbox refuses.
  mailbox.try_push(Cancellation{id});
}

void EngineInbox::begin_step(std::optional<GenerationId> only) {
  stop.clear();
  alone_.store(only ? only->value : 0);
  // A cancellation that came since the mailbox was read found no step to stop: it is read before this one is
  // computed.
  if (only && sent_.load() > read_) stop.set();
}

std::optional<Places> Places::take(std::shared_ptr<EngineInbox> inbox, PlaceOwner owner,
                                   std::uint32_t count) {
  if (!inbox->pool.take_places(owner, count)) return std::nullopt;
  return Places(std::move(inbox), std::move(owner), count);
}

bool Places::add(std::size_t bytes) {
  if (!inbox_->pool.take_bytes(owner_, bytes)) return false;
  bytes_ += bytes;
  return true;
}

}  // namespace autoglm::engine
