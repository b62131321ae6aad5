#pragma once

#include "redis/client.h"

namespace autoglm::gateway {

/// One round trip a decision: takes from all limits of a call, or from none of them. Keys: the limits.
/// Arguments: the time in microseconds (empty: the server's; else, in tests, nothing expires), and of each
/// key SharedSpec::words and the amount. The reply has of each key: what became of it (0: taken, 1: later, 2:
/// there was room, but not in another one), the wait, what remains, the time until it is as if unused, and
/// the reservation's two numbers; times in microseconds.
const redis::Script& take_script();

/// Settles reservations. Arguments as above, and of each key SharedSpec::words, the amount, the reservation's
/// two numbers, and what was used.
const redis::Script& settle_script();

}  // namespace autoglm::gateway
