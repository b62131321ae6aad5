#pragma once

#include "base/result.h"
#include "gateway/admission/keys/stored_key.h"
#include "gateway/protocol/json/object_writer.h"

#include <string>
#include <string_view>

namespace autoglm::gateway {

/// The key that the JSON object `body` wishes for: `name`, and what `keys:` has but `key` itself. Its
/// `expires` is then a moment, and its `tenant` is set. Errors: kInvalidArgument, with the member. A member
/// that nobody knows is an error, too: it may have been meant as a restriction.
Result<KeyConfig> read_key(std::string_view body, WallTime now);

/// The grace of a rotation's body, `{"grace":"1h"}`; an empty body, and one without it, is none.
Result<Duration> read_grace(std::string_view body);

/// What the key may do, as `read_key` reads it.
std::string rights_json(const KeyConfig& rights);

/// Appends the key as the operator sees it: `source` is `store`, `config` or `file`. Without the key itself;
/// with the times at which it was made, ends, and was revoked.
void append_key(std::string& out, const KeyConfig& rights, std::string_view source, WallTime now);
void append_key(std::string& out, const StoredKey& key, WallTime now);
/// The same with the key itself, once.
std::string made_json(const MadeKey& made, WallTime now);

/// Errors: kInvalidArgument: the name of a stored key stands in addresses and commands.
Result<void> check_key_name(std::string_view name);

}  // namespace autoglm::gateway
