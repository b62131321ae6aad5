#pragma once

#include "config/descriptor.h"
#include "config/diagnostic.h"
#include "config/sources.h"

#include <expected>
#include <utility>

namespace autoglm::config {

namespace detail {
Diagnostics load_into(const Section& root, const Sources& sources, void* target, Diagnostics& warnings);
}  // namespace detail

/// Reads a whole configuration: a valid `T`, or every mistake in it at once, in the order of the file.
/// `warnings` receives what is valid but will surprise. Asks nobody but `sources`.
template <class T>
std::expected<T, Diagnostics> load(const Descriptor<T>& descriptor, const Sources& sources,
                                   Diagnostics* warnings = nullptr) {
  T value{};
  Diagnostics surprises;
  Diagnostics problems = detail::load_into(*descriptor.description(), sources, &value, surprises);
  if (warnings != nullptr) *warnings = std::move(surprises);
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return value;
}

template <class T>
std::expected<T, Diagnostics> load(const Descriptor<T>& descriptor, const TextSources& texts,
                                   Diagnostics* warnings = nullptr) {
  return load(descriptor, texts.list(), warnings);
}

}  // namespace autoglm::config
