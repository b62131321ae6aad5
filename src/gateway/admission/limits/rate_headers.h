#pragma once

#include "gateway/admission/admission_check.h"

#include <string>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// The headers x-ratelimit-{limit,remaining,reset}-{requests,tokens}, as OpenAI has them; times are such as
/// "1.5s".
std::vector<std::pair<std::string, std::string>> rate_headers(const RateReport& report);

}  // namespace autoglm::gateway
