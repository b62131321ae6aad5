#include "observe/metrics/exposition.h"

#include <gtest/gtest.h>

#include <array>

namespace autoglm::observe {
namespace {

TEST(MergeExpositions, TellsEachFamilyOnce) {
  const std::array<std::string, 3> texts = {"# HELP b_total B.\n# TYPE b_total counter\nb_total{m=\"x\"} 1\n",
                                            "# HELP a A.\n# TYPE a gauge\na 2\n# HELP b_total Other "
                                            "words.\n# TYPE b_total counter\nb_total{m=\"y\"} 3\n",
                                            ""};
  EXPECT_EQ(merge_expositions(texts),
            "# HELP a A.\n# TYPE a gauge\na 2\n"
            "# HELP b_total B.\n# TYPE b_total counter\nb_total{m=\"x\"} 1\nb_total{m=\"y\"} 3\n");
}

TEST(MergeExpositions, KeepsAHistogramTogetherAndLeavesOutWhatHasNoFamily) {
  const std::array<std::string, 1> texts = {
      "stray 1\n# HELP h H.\n# TYPE h histogram\nh_count 1\nh_sum 2\nh_bucket{le=\"+Inf\"} 1\n"};
  EXPECT_EQ(merge_expositions(texts),
            "# HELP h H.\n# TYPE h histogram\nh_count 1\nh_sum 2\nh_bucket{le=\"+Inf\"} 1\n");
}

TEST(FamiliesOf, PicksByTheirNames) {
  const std::array<std::string_view, 1> prefixes = {"vllm:"};
  EXPECT_EQ(families_of("# HELP process_x X.\n# TYPE process_x gauge\nprocess_x 1\n"
                        "# HELP vllm:a A.\n# TYPE vllm:a gauge\nvllm:a 1",
                        prefixes),
            "# HELP vllm:a A.\n# TYPE vllm:a gauge\nvllm:a 1");
}

}  // namespace
}  // namespace autoglm::observe
