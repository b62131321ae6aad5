// A configuration file: any text must give a configuration or located mistakes.
#include "config/load.h"
#include "config/testing/sample.h"
#include "fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  static const auto descriptor = config::testing::describe_sample();
  const auto loaded = config::load(descriptor, {.file_name = "f.yaml",
                                                .file_text = std::string(fuzzing::text_of(data, size)),
                                                .environment = {{"KEY", "value"}, {"LOOP", "${env:LOOP}"}}});
  if (!loaded) fuzzing::expect(!loaded.error().empty(), "a refusal says why");
  return 0;
}
