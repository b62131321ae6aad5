#pragma once

#include "inference/generate_request.h"

#include <cstdint>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace autoglm {

/// For each whole block of 512 bytes of the prompt, a hash of everything up to the block's end: two prompts
/// share as many digests as they share leading blocks. Of text, since a gateway has no tokenizer; the same in
/// every process. One pass.
std::vector<std::uint64_t> prefix_digests(const GenerateRequest& work);

/// The digests that are published: the first, second, fourth, eighth… of `digests`. A prompt with the same
/// beginning finds at least half of it by them.
std::vector<std::uint64_t> prefix_landmarks(std::span<const std::uint64_t> digests);

/// The landmarks of the prompts that an endpoint has read lately. A snapshot.
using PrefixSet = std::unordered_set<std::uint64_t>;

/// Seals digests before they leave the process: they are made of clients' prompts, and a guess at a prompt
/// could be confirmed by its digest. Only processes with the same secret make the same seal.
class PrefixKey {
 public:
  explicit PrefixKey(std::string secret) : secret_(std::move(secret)) {}
  std::uint64_t seal(std::uint64_t digest) const;
  /// Seals all of them.
  PrefixSet seal(const PrefixSet& digests) const;

 private:
  std::string secret_;
};

}  // namespace autoglm
