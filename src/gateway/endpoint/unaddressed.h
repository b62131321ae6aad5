#pragma once

#include "base/error.h"

namespace autoglm::gateway {

/// `error` of the HTTP client, for clients: what happened, without the endpoint's address, its host's name or
/// a proxy's. The log shows the original error, as the cause.
Error unaddressed(Error error);

}  // namespace autoglm::gateway
