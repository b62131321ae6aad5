#include "engine/engine_inbox.h"

namespace autoglm::engine {

namespace {

constexpr std::size_t kMostPreparedInAll = 2 * kMostPreparedBytes;

}  // namespace

void EngineInbox::cancel(GenerationId id) {
  // If the step computes nothing else, it can stop now; otherwise max_stall bounds it anyway.
  if (alone.load() == id.value) stop.set();
  // There is room for one per submission, and the engine bounds those, so only a closed mailbox refuses.
  mailbox.try_push(Cancellation{id});
}

bool Places::add(std::size_t bytes) {
  if (inbox_->bytes.fetch_add(bytes) + bytes > kMostPreparedInAll) {
    inbox_->bytes.fetch_sub(bytes);
    return false;
  }
  bytes_ += bytes;
  return true;
}

}  // namespace autoglm::engine
