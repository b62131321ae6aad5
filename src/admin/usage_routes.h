#pragma once

#include "gateway/admission/usage/usage_totals.h"
#include "gateway/front/http/route.h"

#include <functional>
#include <string>
#include <vector>

namespace autoglm::admin {

/// GET /usage, what calls have used: for the operator only. `by` groups (day, key, tenant, model), `from` and
/// `to` are days of UTC, and `format` is json or csv; `Accept: text/csv` asks for CSV, too.
///
/// `totals` must outlive the routes; `currency` gives the code that all prices have now.
std::vector<gateway::Route> usage_routes(const gateway::UsageTotals& totals,
                                         std::function<std::string()> currency);

}  // namespace autoglm::admin
