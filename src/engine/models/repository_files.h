#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::engine {

/// A file of a repository, as its hub lists it.
struct ListedFile {
  std::string path;
  std::optional<std::uint64_t> bytes{};
  std::string sha256{};  ///< in hex; empty if the hub states none

  bool operator==(const ListedFile&) const = default;
};

/// The name of one part of a model that is kept in several files: "x-00002-of-00003.gguf".
struct SplitName {
  std::string stem;
  unsigned part = 1;
  unsigned parts = 1;

  static std::optional<SplitName> parse(std::string_view path);
  /// The name of part `number`, from 1.
  std::string of(unsigned number) const;
};

/// The files of the one model among `files` that `wanted` names: a file's name (any part of a split model),
/// or a quantization ("Q4_K_M", in any case); empty: the default, which is Q4_K_M or the one nearest to it.
/// In the order of the parts. Errors: kNotFound, listing what there is and suggesting the nearest; `where`
/// names the repository in messages.
Result<std::vector<ListedFile>> choose_files(std::span<const ListedFile> files, std::string_view wanted,
                                             std::string_view where);

}  // namespace autoglm::engine
