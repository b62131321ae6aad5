#pragma once

#include "inference/request.h"

#include <cstdint>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace autoglm {

/// A hash at each whole block of 512 bytes of the prompt: of everything up to there. Two prompts have as many
/// in common as they share of their beginnings. Of text, since a gateway has no tokenizer; the same in every
/// instance. One pass.
std::vector<std::uint64_t> prefix_digests(const GenerateRequest& work);

/// Those that are told to others: the first, second, fourth, eighth… of `digests`. Whoever has a prompt with
/// the same beginning finds at least half of it.
std::vector<std::uint64_t> prefix_landmarks(std::span<const std::uint64_t> digests);

/// The landmarks of the prompts that an endpoint has read lately. A snapshot.
using PrefixSet = std::unordered_set<std::uint64_t>;

/// Seals digests before they leave the process: they are of other people's prompts, and whoever guesses a
/// prompt could make its digest. Only who has the same secret makes the same seal of it.
class PrefixKey {
 public:
  explicit PrefixKey(std::string secret) : secret_(std::move(secret)) {}
  std::uint64_t seal(std::uint64_t digest) const;
  /// All of them.
  PrefixSet seal(const PrefixSet& digests) const;

 private:
  std::string secret_;
};

}  // namespace autoglm
