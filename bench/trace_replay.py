"""Real conversations' prefixes: how much our cache reuses, against an offline LRU that sees all requests in order."""

import collections
import json
import os

from answers import at_once, post
from servers import Ours

BLOCK = 16  # tokens per block of our cache; the trace's blocks have 512
SCALE = 512 // BLOCK
TOKEN_BYTES = 256  # size of a token in the cache of the one-layer model
REQUESTS = 1000
VARIABLE = "AUTOGLM_MOONCAKE_TRACE"


class OfflineLru:
    """Blocks by last use. A block is found only after all blocks before it, so a prompt's end is evicted before its beginning."""

    def __init__(self, blocks):
        self.blocks, self.kept = blocks, collections.OrderedDict()

    def found(self, ids):
        """How many blocks of the beginning are in the cache."""
        return next((i for i, block in enumerate(ids) if block not in self.kept), len(ids))

    def use(self, ids):
        for block in reversed(ids):
            self.kept[block] = None
            self.kept.move_to_end(block)
        while len(self.kept) > self.blocks:
            self.kept.popitem(last=False)


def read_trace():
    """The first requests: (tokens of the prompt, its blocks, tokens of the answer), scaled to a 32nd of their length."""
    path = os.environ.get(VARIABLE, "")
    if not os.path.isfile(path):
        raise SystemExit(f"bench: mooncake needs Mooncake's conversation trace: set {VARIABLE} to the path of its "
                         f"conversation_trace.jsonl (github.com/kvcache-ai/Mooncake, FAST25-release/traces); it is \"{path}\"")
    requests = []
    with open(path) as file:
        for line, _ in zip(file, range(REQUESTS)):
            entry = json.loads(line)
            requests.append((entry["input_length"] // SCALE, entry["hash_ids"], max(1, entry["output_length"] // SCALE)))
    return requests


def tokens_of(length, ids):
    """A run of tokens for each block, the same wherever the block is; the first three spell its number."""
    tokens = []
    for block in ids:
        digits = [300 + block % 64, 300 + block // 64 % 64, 300 + block // 4096]
        tokens += digits + [300 + (block * 7 + i) % 64 for i in range(BLOCK - len(digits))]
    return tokens[:length]


def offline_share(requests, cells):
    lru, hits, tokens = OfflineLru(cells // BLOCK), 0, 0
    for number, (length, ids, answer) in enumerate(requests):
        # A prompt's last token is always computed, for its logits; an answer's last token never is.
        hits += BLOCK * lru.found(ids[: (length - 1) // BLOCK])
        tokens += length
        own = [(number, i) for i in range((length + answer - 1) // BLOCK - length // BLOCK)]
        lru.use(ids[: length // BLOCK] + own)
    return hits / tokens


def mooncake(_pairs, width=4):
    """Prefixes of 1,000 real conversations: tokens found in the cache, against an offline LRU"""
    requests = read_trace()
    rows = []
    for cells, saved in ((32768, 0), (65536, 0), (32768, 98304)):
        with Ours("1layer", cache_tokens=cells, saved_memory=saved * TOKEN_BYTES) as server:
            def ask(request):
                length, ids, answer = request
                return post(server.port, "/v1/completions", {"prompt": tokens_of(length, ids), "max_tokens": answer, "ignore_eos": True})
            at_once(ask, requests, width)
            queries = server.metric("vllm:prefix_cache_queries_total")
            share = server.metric("vllm:prefix_cache_hits_total") / queries
        if queries != sum(length for length, _, _ in requests):
            raise RuntimeError(f"{queries} tokens of prompts were counted, not those that were sent")
        offline = offline_share(requests, cells + saved)
        rows.append([f"{cells:,}" + (f", and {saved:,} in memory" if saved else ""), f"{100 * share:.2f} %", f"{100 * offline:.2f} %", f"{share / offline:.3f}×"])
        print("  " + " | ".join(rows[-1]), flush=True)
    return "Prefixes of real conversations: ours / an offline LRU", ["tokens of cache", "hits", "of the LRU", "ratio"], rows, (
        f"The first {len(requests):,} requests of Mooncake's conversation trace, lengths and blocks a {SCALE}nd, {width} at a time in "
        f"their order, a model of one layer. The LRU sees prompts and answers one by one, in blocks of {BLOCK} tokens. The library tells "
        "256 sequences apart, so no more ends of prompts are kept: as short as these are, that is less than 100,000 tokens. In memory (`saved_memory`) it "
        "is blocks, and no such limit.")
