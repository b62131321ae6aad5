"""Whole answers and their parts, for cases that compare what is generated rather than how fast."""

import concurrent.futures
import http.client
import json


def post(port, path, body):
    """The answer to one request; its frames, if it was asked for a stream."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    data = response.read()
    connection.close()
    if response.status != 200:
        raise RuntimeError(f"status {response.status}: {data[:500].decode(errors='replace')}")
    if not body.get("stream"):
        return json.loads(data)
    frames = [line.removeprefix("data: ") for line in data.decode().split("\n") if line.startswith("data: ")]  # without comments
    if frames[-1] != "[DONE]" or '"error"' in frames[-2]:
        raise RuntimeError(f"a stream without its end: {data[-500:].decode(errors='replace')}")
    return [json.loads(frame) for frame in frames[:-1]]


def at_once(function, arguments, width):
    """Calls `function` for each argument, `width` at a time, started in order; returns the results in order."""
    with concurrent.futures.ThreadPoolExecutor(width) as pool:
        return list(pool.map(function, arguments))


def folded(frames):
    """The combined content of one choice's frames, however they were cut: {what: text or list}."""
    whole = {"text": "", "token_ids": [], "logprobs": [], "calls": {}, "finish_reason": None, "usage": None}
    for frame in frames:
        if frame.get("usage"):
            whole["usage"] = {key: value for key, value in frame["usage"].items() if key != "prompt_tokens_details"}
        for choice in frame["choices"]:
            delta = choice.get("delta", choice)
            whole["text"] += delta.get("content") or delta.get("text") or ""
            whole["token_ids"] += choice.get("token_ids") or []
            whole["logprobs"] += _logprobs(choice.get("logprobs") or {})
            whole["finish_reason"] = choice.get("finish_reason") or whole["finish_reason"]
            for call in delta.get("tool_calls") or []:
                so_far = whole["calls"].setdefault(call["index"], {"name": "", "arguments": ""})
                for key, value in call.get("function", {}).items():
                    so_far[key] += value
    return whole


def _logprobs(given):
    """For each token (text, logprob, {text: logprob} of the likeliest). Chats and completions have different formats."""
    if "content" in given:
        return [(token["token"], token["logprob"], {top["token"]: top["logprob"] for top in token["top_logprobs"]})
                for token in given["content"]]
    return list(zip(given.get("tokens") or [], given.get("token_logprobs") or [], given.get("top_logprobs") or []))
