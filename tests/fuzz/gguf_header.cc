// The head of a model file: any bytes must give a header or a reason.
#include "engine/backends/llama/gguf_header.h"

#include "engine/backends/llama/library_log.h"
#include "fuzzing.h"

#include <sys/mman.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  using fuzzing::expect;
  static const int file = memfd_create("model", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  engine::LibraryLog::listen();
  expect(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == static_cast<ssize_t>(size),
         "a file to read");
  const auto header = engine::read_gguf_header(path);
  if (header) {
    expect(header->bytes <= size, "a file that is taken is whole");
  } else {
    expect(!header.error().message.empty(), "a refusal says why");
  }
  return 0;
}
