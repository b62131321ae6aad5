#include "runtime/idle_hook.h"

#include <mimalloc.h>

#include <cstddef>
#include <new>

// mimalloc is built as C: its own operators end the process when memory runs out, since they cannot throw.
// One request that is too large must not do that. mimalloc's operators delete what these allocate.

namespace {

void* or_throw(void* memory) {
  if (memory == nullptr) [[unlikely]]
    throw std::bad_alloc();
  return memory;
}

// Each thread has a heap of its own, and what is free in it goes back to the system only when that thread
// allocates again: a pool's thread that has read one long body would keep its memory for as long as it
// sleeps.
[[maybe_unused]] const bool returns_memory = [] {
  autoglm::set_idle_hook([] { mi_collect(true); });
  return true;
}();

}  // namespace

void* operator new(std::size_t size) { return or_throw(mi_malloc(size)); }
void* operator new[](std::size_t size) { return or_throw(mi_malloc(size)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return or_throw(mi_malloc_aligned(size, static_cast<std::size_t>(alignment)));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return or_throw(mi_malloc_aligned(size, static_cast<std::size_t>(alignment)));
}
