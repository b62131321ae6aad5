#include "runtime/idle_hook.h"

#include <atomic>

namespace autoglm {

namespace {

std::atomic<void (*)()> idle_hook{nullptr};

}  // namespace

void set_idle_hook(void (*hook)()) { idle_hook.store(hook, std::memory_order_relaxed); }

bool IdleTurn::is_set() { return idle_hook.load(std::memory_order_relaxed) != nullptr; }

void IdleTurn::rest() {
  if (!std::exchange(worked_, false)) return;
  if (const auto hook = idle_hook.load(std::memory_order_relaxed)) hook();
}

}  // namespace autoglm
