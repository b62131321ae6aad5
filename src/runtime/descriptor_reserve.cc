#include "runtime/descriptor_reserve.h"

#include <fcntl.h>
#include <unistd.h>

namespace autoglm {

DescriptorReserve::~DescriptorReserve() {
  while (release()) {
  }
}

bool DescriptorReserve::release() {
  if (kept_.empty()) return false;
  ::close(kept_.back());
  kept_.pop_back();
  return true;
}

void DescriptorReserve::refill() {
  kept_.reserve(size_);
  while (kept_.size() < size_) {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    kept_.push_back(fd);
  }
}

}  // namespace autoglm
