#include "engine/engine_groups.h"

namespace autoglm::engine {

void EngineGroups::follow(Scheduler& scheduler) {
  if (shares_ == nullptr || shares_->version() == version_) return;
  const auto now = shares_->get();
  version_ = now->version;
  scheduler.change_shares(now->groups);
  const ShareBook& book = scheduler.shares();
  tokens_.clear();
  for (GroupIndex i = 0; book.size() > 1 && i < book.size(); ++i)
    tokens_.push_back(&metrics_.group_tokens(book.name(i)));
}

void EngineGroups::count(const Scheduler::Step& step) {
  if (tokens_.empty()) return;
  for (const Scheduler::Slice& slice : step.slices) tokens_[slice.group]->add(slice.count);
}

}  // namespace autoglm::engine
