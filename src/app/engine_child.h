#pragma once

namespace autoglm::app {

/// Serves the engine to the parent process, until that ends or says so, with our own protocol, on connections
/// that the parent hands over. Returns the exit code.
int run_engine_child();

}  // namespace autoglm::app
