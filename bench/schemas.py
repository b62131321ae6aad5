"""Answers constrained by JSON schemas: whether all conform, and what that costs in speed."""

import json
import random
import re
import statistics
import time

from answers import at_once, post
from load import WORDS, words
from ratios import Ratio
from servers import Ours

PATTERNS = ["^[a-z]{3,8}$", "^[A-Z][0-9]{2,4}$", "^(red|green|blue)-[0-9]{1,3}$"]
FORMATS = {"date": r"\d{4}-\d\d-\d\d", "time": r"\d\d:\d\d:\d\d.*", "uuid": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"}


def make_schema(rng, depth=0):
    """A schema that allows only short texts, so that no answer is cut off."""
    kinds = ["enum", "const", "string", "pattern", "format", "integer", "range", "number", "boolean", "null"]
    if depth < 2:
        kinds += ["object", "array", "tuple", "anyOf"] * 2
    return globals()[f"_{'object' if depth == 0 else rng.choice(kinds)}"](rng, depth)


def _object(rng, depth):
    names = rng.sample(WORDS, rng.randint(2, 5) if depth == 0 else rng.randint(1, 3))
    required = [name for name in names if rng.random() < 0.8] or names[:1]
    return {"type": "object", "properties": {name: make_schema(rng, depth + 1) for name in names}, "required": required,
            "additionalProperties": False}


def _array(rng, depth):
    low = rng.randint(0, 2)
    return {"type": "array", "items": make_schema(rng, depth + 1), "minItems": low, "maxItems": low + rng.randint(1, 2)}


def _tuple(rng, depth):
    return {"type": "array", "prefixItems": [make_schema(rng, depth + 1) for _ in range(rng.randint(1, 3))]}


def _anyOf(rng, depth):
    return {"anyOf": [make_schema(rng, depth + 1) for _ in range(2)]}


def _enum(rng, _depth):
    return {"enum": rng.sample([*WORDS, 1, 2.5, None, True], 4)}


def _const(rng, _depth):
    return {"const": rng.choice([*WORDS, 7, False])}


def _string(rng, _depth):
    low = rng.randint(0, 4)
    return {"type": "string", "minLength": low, "maxLength": low + rng.randint(1, 12)}


def _pattern(rng, _depth):
    return {"type": "string", "pattern": rng.choice(PATTERNS)}


def _format(rng, _depth):
    return {"type": "string", "format": rng.choice(list(FORMATS))}


def _integer(_rng, _depth):
    return {"type": "integer"}


def _range(rng, _depth):
    low = rng.randint(-50, 50)
    return {"type": "integer", "minimum": low, "maximum": low + rng.randint(0, 5000)}


def _number(_rng, _depth):
    return {"type": "number"}


def _boolean(_rng, _depth):
    return {"type": "boolean"}


def _null(_rng, _depth):
    return {"type": "null"}


TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}


def same(a, b):
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def keeps_to(schema, value):
    """Whether `value` conforms to `schema`, for the keywords that make_schema uses."""
    if "anyOf" in schema:
        return any(keeps_to(option, value) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return any(same(value, allowed) for allowed in schema.get("enum", [schema.get("const")]))
    kind = schema["type"]
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return False
    if kind == "object":
        properties = schema["properties"]
        return set(schema["required"]) <= set(value) <= set(properties) and all(keeps_to(properties[name], value[name]) for name in value)
    if kind == "array":
        items = schema.get("prefixItems") or [schema["items"]] * len(value)
        return (schema.get("minItems", len(items)) <= len(value) <= schema.get("maxItems", len(items))
                and all(keeps_to(item, element) for item, element in zip(items, value)))
    if kind == "string":
        return (schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
                and re.search(schema.get("pattern", ""), value) is not None
                and re.fullmatch(FORMATS.get(schema.get("format"), "(?s).*"), value) is not None)
    return kind != "integer" or schema.get("minimum", value) <= value <= schema.get("maximum", value)


def complaint(schema, answer):
    """What is wrong with an answer; None if it conforms to its schema."""
    choice = answer["choices"][0]
    try:
        if choice["finish_reason"] == "stop" and keeps_to(schema, json.loads(choice["message"]["content"])):
            return None
    except ValueError:
        pass
    return f"{json.dumps(choice)} does not keep to {json.dumps(schema)}"


def timed(function, bodies, width):
    began = time.monotonic()
    results = at_once(function, bodies, width)
    return time.monotonic() - began, results


def schema(pairs, answers=500, width=8):
    """500 answers that must keep to JSON schemas, all different: whether they do, and tokens/s against free text"""
    count = -(-answers // (2 * pairs))  # per temperature and pair
    rows = []
    for temperature in (0, 1):
        rng = random.Random(1)
        runs, wrong, tokens = [], [], 0
        with Ours("default", cache_tokens=16384) as server:
            def ask(body):
                return post(server.port, "/v1/chat/completions", body)
            for i in range(pairs):
                schemas = [make_schema(rng) for _ in range(count)]
                bodies = [{"messages": [{"role": "user", "content": words(20, i * count + j)}], "temperature": temperature, "seed": j}
                          for j in range(count)]
                strict = [{**body, "max_tokens": 1000, "response_format": {"type": "json_schema", "json_schema": {
                    "name": "answer", "strict": True, "schema": wanted}}} for body, wanted in zip(bodies, schemas)]
                took, given = timed(ask, strict, width)
                wrong += filter(None, map(complaint, schemas, given))
                # Free text of the same lengths; its prompts are computed anew, like those before.
                lengths = [answer["usage"]["completion_tokens"] for answer in given]
                free = [{**body, "max_tokens": length, "ignore_eos": True, "cache_salt": "free"} for body, length in zip(bodies, lengths)]
                free_took, _ = timed(ask, free, width)
                tokens += sum(lengths)
                runs.append((sum(lengths) / took, sum(lengths) / free_took))
        if wrong:
            raise RuntimeError(f"{len(wrong)} answers are wrong, the first: {wrong[0]}")
        ours, other = (statistics.median(side) for side in zip(*runs))
        rows.append([f"temperature {temperature}", f"{pairs * count} of {pairs * count}", f"{tokens / pairs / count:.0f}", f"{ours:.3g} / {other:.3g} = {Ratio(runs)}"])
        print("  " + " | ".join(rows[-1]), flush=True)
    return "Structured output: constrained / free", ["", "valid", "tokens each", "tokens/s"], rows, (
        f"{width} chats at a time with the default model, each with a generated schema (objects, arrays, tuples, anyOf, enums, patterns, "
        "formats, ranges, nested), then the same prompts for as many tokens of free text.")
