#pragma once

#include "engine/testing/backend_implementation.h"

#include <gtest/gtest.h>

namespace autoglm::engine {

/// Its constructor stands beside the tests, which are linked with it.
struct ChatFormatImplementation : BackendImplementation {
  ChatFormatImplementation(const BackendImplementation& backend);
};

/// The conformance suite of ChatFormat, for INSTANTIATE_TEST_SUITE_P beside each implementation.
class ChatFormatConformance : public ::testing::TestWithParam<ChatFormatImplementation> {
 protected:
  ~ChatFormatConformance() override;

  const Backend backend_ = GetParam().make();
};

}  // namespace autoglm::engine
