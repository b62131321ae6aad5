#pragma once

#include "config/node.h"
#include "config/type.h"
#include "config/values.h"

#include <string>

namespace autoglm::config {

/// The value that a node's text gives a scalar of `type`, within the bounds of `options`; or what is wrong:
/// "must be between 1 and 100, got 150; write e.g. 50".
Parsed<Scalar> parse_scalar(const Type& type, const FieldOptions& options, const Node& node);

/// The value as a configuration would write it; parse_scalar() reads it back.
std::string print_scalar(const Type& type, const Scalar& value);

/// "a duration", "an integer between 1 and 100", "one of a, b": for messages and the reference.
std::string name_type(const Type& type, const FieldOptions& options);

/// "between 1 and 100", "at least 1", "at most 1h"; empty without bounds.
std::string name_bounds(const Type& type, const FieldOptions& options);

}  // namespace autoglm::config
