#pragma once

#include "gateway/admission/usage/live_usage_index.h"
#include "gateway/admission/usage/usage_totals.h"
#include "gateway/front/http/route.h"

#include <functional>
#include <string>
#include <vector>

namespace autoglm::admin {

/// GET /usage, what calls have used: for the operator only. `by` groups (day, hour, key, tenant, model),
/// `from` and `to` are days of UTC, `key`, `tenant` and `model` leave all others out, and `format` is json or
/// csv; `Accept: text/csv` asks for CSV, too.
///
/// `index` answers; where there is none, or while its disk does not work, `totals` do, which have no hours
/// and reach two months back. Both must outlive the routes; `currency` gives the code that all prices have
/// now.
std::vector<gateway::Route> usage_routes(const gateway::UsageTotals& totals,
                                         std::function<std::string()> currency,
                                         gateway::LiveUsageIndex* index = nullptr);

}  // namespace autoglm::admin
