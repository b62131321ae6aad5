#pragma once

#include "base/function_ref.h"
#include "gateway/admission/admission_check.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// Calls `add` with the name and the value of each of the headers
/// x-ratelimit-{limit,remaining,reset}-{requests,tokens}, as OpenAI has them; times are such as "1.5s". The
/// views are valid during the call.
void add_rate_headers(const RateReport& report, FunctionRef<void(std::string_view, std::string_view)> add);

/// The same as a list.
std::vector<std::pair<std::string, std::string>> rate_headers(const RateReport& report);

}  // namespace autoglm::gateway
