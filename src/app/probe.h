#pragma once

#include "app/load_config.h"
#include "config/diagnostic.h"

namespace autoglm::app {

/// Asks each endpoint of a configuration what its health check asks, and for its list of models: warns of one
/// that cannot be reached, of a health path that it does not have, of a key that it refuses, of an address
/// without an API and of a model that it does not list. Sends no prompt and costs nothing. Takes as long as
/// the configured timeouts allow; runs an event loop of its own.
config::Diagnostics probe(const LoadedConfig& loaded);

}  // namespace autoglm::app
