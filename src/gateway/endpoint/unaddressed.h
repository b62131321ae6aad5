#pragma once

#include "base/error.h"

namespace autoglm::gateway {

/// `error` of the HTTP client, as clients may hear it: what happened, without the endpoint's address, its
/// host's name or a proxy's. The error itself is the cause, which the log shows.
Error unaddressed(Error error);

}  // namespace autoglm::gateway
