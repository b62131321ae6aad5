#pragma once

#include "app/keys/keys_command.h"
#include "base/result.h"
#include "base/terminal.h"

#include <string>
#include <string_view>

namespace autoglm::app {

/// The body of a wish for a key. Errors: kInvalidArgument for a label without `=`.
Result<std::string> key_body(const KeysOptions& options);
/// The body of a rotation.
std::string rotation_body(const KeysOptions& options);

/// The key in an answer to a creation or a rotation; empty: there is none.
std::string key_in(std::string_view answer);
/// The state of the key in an answer; empty: there is none.
std::string state_in(std::string_view answer);
/// The table of a list of keys. `all`: also of those that have ended.
std::string key_table(std::string_view list, bool all, const Paint& paint);
/// A key's facts, one a line.
std::string key_facts(std::string_view key, const Paint& paint);

}  // namespace autoglm::app
