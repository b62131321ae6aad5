// A client's JSON schema.
#include "formats.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  const std::string_view text = fuzzing::text_of(data, size);
  fuzzing::write_along({OutputFormat::Kind::kJsonSchema, std::string(text)}, text);
  return 0;
}
