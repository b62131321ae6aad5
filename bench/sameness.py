"""Whether answers are independent of a full cache, or of a server's death in the middle."""

import itertools
import math
import statistics

from answers import at_once, folded, post
from load import words
from servers import Ours

# NEAR: two tokens this near, in nats or in probability, are a tie: batches of different sizes differ by as much.
MODELS = ("tiny", "default")
NEAR = 0.1
ITEMS = {"type": "array", "items": {"type": "integer"}, "minItems": 20, "maxItems": 30}


def uniform_draw(seed, index):
    """The number in [0, 1) that chooses token `index`, as the server draws it: Philox4x32-10 of both."""
    c, k, low = [index, 0, 0, 0], [seed, 0], 2**32 - 1
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b & low, a >> 32 ^ c[3] ^ k[1], a & low]
        k = [k[0] + 0x9E3779B9 & low, k[1] + 0xBB67AE85 & low]
    return (c[0] << 21 | c[1] >> 11) / 2**53


def gap(body, index, wanted, other):
    """How far the token `other` was from being chosen instead; infinite if it was not even among the likeliest."""
    text, logprob, likeliest = wanted
    order = sorted(likeliest, key=likeliest.get, reverse=True)
    if other not in likeliest:
        if body["temperature"] == 0:
            return math.inf
        other = order[-1]  # `other` would have replaced the last of those that may be drawn
    apart = abs(logprob - likeliest[other])
    if body["temperature"] == 0:
        return apart
    # A draw falls on one side of an edge or the other, in the order of likelihood; near ties may change the order, too.
    edges = list(itertools.accumulate(math.exp(likeliest[token]) for token in order))
    draw = uniform_draw(body["seed"], index) * edges[-1]
    place = order.index(other)
    return min(apart, edges[place - 1] - draw if place > order.index(text) else draw - edges[place])


class Comparison:
    """Counts equal answers; for the others, measures how near the first different token was to the expected one."""

    def __init__(self):
        self.same, self.gaps, self.drift, self.unlike = 0, [], 0.0, []

    def add(self, body, wanted, got, offset=0):
        pairs = zip(wanted["token_ids"], got["token_ids"])
        first = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
        for (_, a, _), (_, b, _) in zip(wanted["logprobs"][:first], got["logprobs"][:first]):
            self.drift = max(self.drift, abs(a - b))
        if first is not None:
            self.gaps.append(gap(body, offset + first, wanted["logprobs"][first], got["logprobs"][first][0]) if wanted["logprobs"] else math.inf)
        elif different := [key for key in wanted if key != "logprobs" and wanted[key] != got[key]]:
            self.unlike.append(f"{body}: {different}: {[wanted[key] for key in different]}, then {[got[key] for key in different]}")
        else:
            self.same += 1

    def columns(self):
        """The columns of HEADER. Equal tokens with another text, usage or end are a defect, never a tie."""
        if self.unlike:
            raise RuntimeError(f"{len(self.unlike)} answers of the same tokens differ, the first: {self.unlike[0]}")
        count = self.same + len(self.gaps)
        far = sum(value > NEAR for value in self.gaps)
        ties = f"{len(self.gaps) - far} of {len(self.gaps)}; median {statistics.median(self.gaps):.3f}, largest {max(self.gaps):.3f}" if self.gaps else "–"
        return [f"{self.same} of {count} ({100 * self.same / count:.1f} %)", ties, f"{self.drift:.1e}"]

    HEADER = ["identical", "near ties among first differences", "logprobs drift at most"]


def overcommit(pairs, requests=32, tokens=256, times=4):
    """32 requests that need four times the cache, against the same one after the other"""
    rows = []
    for model, rounds in (("tiny", min(pairs, 3)), ("default", 1)):
        compared, need, seeds = Comparison(), 0, itertools.count(1)
        with Ours(model, threads=1 if model == "tiny" else 2, context=1024, cache_tokens=requests * tokens // times) as server:
            def ask(body):
                return folded(post(server.port, "/v1/completions", body))
            for _ in range(rounds):
                bodies = []
                for i in range(requests):
                    seed = next(seeds)
                    bodies.append({
                        "prompt": words(12 if model == "tiny" else 48, seed), "max_tokens": tokens - 48, "ignore_eos": True, "stream": True,
                        "stream_options": {"include_usage": True}, "return_token_ids": True, "logprobs": 20, "priority": i % 3,
                        "temperature": i % 2, "top_k": 20, "seed": seed})
                alone = at_once(ask, bodies, 1)
                # The crowd must not reuse what was computed alone.
                crowd = at_once(ask, [{**body, "cache_salt": "crowd"} for body in bodies], requests)
                need += sum(answer["usage"]["total_tokens"] for answer in alone)
                for body, wanted, got in zip(bodies, alone, crowd):
                    compared.add(body, wanted, got)
            preempted = server.metric("vllm:num_preemptions_total")
        rows.append([model, str(rounds * requests), f"{need / rounds / (requests * tokens // times):.2f}×", f"{preempted:.0f}", "0", *compared.columns()])
        print("  " + " | ".join(rows[-1]), flush=True)
    return "More than the cache holds", ["", "answers", "needs of the cache", "preemptions", "failures", *Comparison.HEADER], rows, (
        f"{requests} streamed completions at once, of mixed priorities, half of them greedy and half drawn with seeds, against the same "
        f"one by one. Near is within {NEAR}: greedily in nats, drawn in probability. A request that fails ends the case.")


def resumable(i, fixture):
    """A request of one of several kinds; on the fixture also of kinds for which the distance of a tie cannot be measured."""
    common = {"max_tokens": 60 if fixture else 40, "seed": i, "stream": True, "stream_options": {"include_usage": True}, "return_token_ids": True}
    prompt, chat = words(20, i), {"messages": [{"role": "user", "content": words(20, i)}], "logprobs": True, "top_logprobs": 20, **common}
    parameters = {"type": "object", "properties": {"numbers": ITEMS}, "required": ["numbers"]}
    schema = {"response_format": {"type": "json_schema", "json_schema": {"name": "numbers", "strict": True, "schema": {**parameters, "additionalProperties": False}}}}
    kinds = [
        ("/v1/completions", {"prompt": prompt, "logprobs": 20, "temperature": 1, "top_k": 20, "ignore_eos": True, **common}),
        ("/v1/chat/completions", {"temperature": 0, **schema, **chat}),
        ("/v1/completions", {"prompt": prompt, "logprobs": 20, "temperature": 0, "ignore_eos": True, **common}),
        ("/v1/chat/completions", {"temperature": 1, "top_k": 20, **chat}),
    ]
    if fixture:
        function = {"type": "function", "function": {"name": "look", "parameters": parameters}}
        kinds += [("/v1/chat/completions", {"temperature": 0, "tools": [function], "tool_choice": "required", **chat}),
                  ("/v1/chat/completions", {"temperature": 1, **schema, **chat}),
                  ("/v1/completions", {"prompt": prompt, "temperature": 0.8, "frequency_penalty": 0.4, "logprobs": 5, "ignore_eos": True, **common})]
    return kinds[i % len(kinds)]


def cuts(frames, every):
    """(tokens so far, remaining frames) at every `every`th token, but not after the last one."""
    tokens, due = [], every
    for i, frame in enumerate(frames[:-1]):
        tokens = tokens + [token for choice in frame["choices"] for token in choice.get("token_ids") or []]
        rest = folded(frames[i + 1:])
        if len(tokens) >= due and rest["token_ids"]:
            yield tokens, rest
            due = len(tokens) + every


def resume(_pairs, generations=200, every=10, width=8):
    """200 generations, continued elsewhere at every tenth token: what was still to come, against what comes"""
    rows = []
    for model in MODELS:
        compared, resumed = Comparison(), 0
        with Ours(model, threads=1 if model == "tiny" else 2, context=2048, cache_tokens=16384) as server:
            def check(i):
                path, body = resumable(i, fixture=model == "tiny")
                frames = post(server.port, path, body)
                created = frames[0]["created"]
                results = []
                for tokens, rest in cuts(frames, every):
                    # Another server would have nothing of it cached.
                    again = {**body, "resume": {"token_ids": tokens, "created": created}, "cache_salt": f"{i} {len(tokens)}"}
                    results.append((body, rest, folded(post(server.port, path, again)), len(tokens)))
                return results
            for results in at_once(check, range(generations), width):
                resumed += len(results)
                for result in results:
                    compared.add(*result)
        rows.append([model, str(generations), *compared.columns()])
        print("  " + " | ".join(rows[-1]), flush=True)
    return "Resumed generations", ["", "generations", *Comparison.HEADER], rows, (
        f"Each is resumed after every {every}th of up to 60 tokens (40 of the default model), {width} at a time: text, tokens, tool calls, end and usage of the rest, "
        "against those of the first run. Greedy, drawn with seeds, with JSON schemas, all with logprobs; the tiny model with penalties "
        "and tools, too, which the default model's template does not know.")
