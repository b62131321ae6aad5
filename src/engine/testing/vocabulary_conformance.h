#pragma once

#include "engine/testing/backend_implementation.h"

#include <gtest/gtest.h>

namespace autoglm::engine {

/// Its constructor stands beside the tests, which are linked with it.
struct VocabularyImplementation : BackendImplementation {
  VocabularyImplementation(const BackendImplementation& backend);
};

/// The conformance suite of Vocabulary, for INSTANTIATE_TEST_SUITE_P beside each implementation.
class VocabularyConformance : public ::testing::TestWithParam<VocabularyImplementation> {
 protected:
  ~VocabularyConformance() override;

  const Backend backend_ = GetParam().make();
  const Vocabulary& vocabulary_ = *backend_.vocabulary;
};

}  // namespace autoglm::engine
