// Scenarios of Node's HTTP/2 client: node http2_client.mjs ORIGIN SCENARIO [CA]. Silent and 0 when all is as it should be; what a
// test has to know meanwhile is written to standard output, and what it has to say is read from standard input.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http2 from "node:http2";

const [origin, scenario, ca] = process.argv.slice(2);
const session = http2.connect(origin, ca ? { ca: readFileSync(ca) } : {});

function open(body, path = "/v1/completions", more = {}) {
  const stream = session.request({ ":method": body ? "POST" : "GET", ":path": path, "content-type": "application/json", ...more });
  stream.end(body ? JSON.stringify(body) : undefined);
  return stream;
}

async function answer(stream) {
  let text = "";
  stream.setEncoding("utf8").on("data", (part) => (text += part));
  const [headers] = await once(stream, "response");
  await once(stream, "close");
  return { status: headers[":status"], headers, text };
}

const ask = (seed) => ({ prompt: "Once upon a time", max_tokens: 20, seed, temperature: 1, ignore_eos: true });

const scenarios = {
  async many() {
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => answer(open(ask(i % 10)))));
    const texts = answers.map(({ status, text }) => {
      assert.equal(status, 200, text);
      return JSON.parse(text).choices[0].text;
    });
    for (let i = 10; i < 100; ++i) assert.equal(texts[i], texts[i % 10]);
    assert.ok(new Set(texts).size > 5);
    console.log(JSON.stringify(texts.slice(0, 10)));
  },

  async streams() {
    const stream = open({ ...ask(1), max_tokens: 200, stream: true }).setEncoding("utf8");
    const [headers] = await once(stream, "response");
    assert.match(headers["content-type"], /^text\/event-stream/);
    assert.equal(headers["transfer-encoding"], undefined);
    let parts = 0;
    let text = "";
    stream.on("data", (part) => { ++parts; text += part; });
    await once(stream, "end");
    assert.ok(parts > 10, `${parts} parts: events come one by one`);
    assert.ok(text.endsWith("data: [DONE]\n\n"));
    assert.equal(text.match(/^data: \{/gm).length, 200);
  },

  async head_and_errors() {
    const probe = session.request({ ":method": "HEAD", ":path": "/livez" });
    const head = await answer(probe);
    assert.equal(head.status, 200);
    assert.equal(head.headers["content-length"], "3");
    assert.equal(head.text, "");
    assert.equal((await answer(open(undefined, "/nothing"))).status, 404);
    const bad = await answer(open({ prompt: 1.5 }));
    assert.equal(bad.status, 400);
    assert.match(JSON.parse(bad.text).error.message, /prompt/);
    const packed = await answer(open(undefined, "/metrics", { "accept-encoding": "gzip" }));
    assert.equal(packed.headers["content-encoding"], "gzip");
  },

  async large_bodies() {
    const ignored = "x".repeat(3_000_000);
    const answers = await Promise.all([1, 2, 3].map(() => answer(open({ ...ask(1), ignored }))));
    for (const { status, text } of answers) assert.equal(status, 200, text);
  },

  async cancels() {
    const streams = Array.from({ length: 8 }, () => open({ ...ask(1), max_tokens: 4000, stream: true }));
    await Promise.all(streams.map((stream) => once(stream, "data")));
    for (const stream of streams) stream.close(http2.constants.NGHTTP2_CANCEL);
    await Promise.all(streams.map((stream) => once(stream, "close")));
    assert.equal((await answer(open(ask(1)))).status, 200);
    console.log("cancelled");
    await once(process.stdin, "data");  // the connection stays: it is not its end that stops them
  },

  async leaves() {
    open({ ...ask(1), max_tokens: 4000, stream: true });
    await once(session, "remoteSettings");
    console.log("streaming");
    await once(process.stdin, "data");
    session.destroy();
    process.exit(0);
  },

  async does_not_read() {
    const deaf = open({ ...ask(1), max_tokens: 3000, n: 2, logprobs: 20, stream: true });
    const [headers] = await once(deaf, "response");
    assert.equal(headers[":status"], 200);
    deaf.pause();
    assert.equal((await answer(open(ask(1)))).status, 200);  // others of the same connection are served
    deaf.on("error", () => undefined);
    await new Promise((resolve) => deaf.once("aborted", resolve).once("close", resolve));
    assert.notEqual(deaf.rstCode, 0);
  },

  async drained() {
    const stream = open({ ...ask(1), max_tokens: 200, stream: true }).setEncoding("utf8");
    await once(stream, "response");
    const goaway = once(session, "goaway");
    const whole = answer(open({ ...ask(1), max_tokens: 400 }));
    console.log("streaming");
    let text = "";
    stream.on("data", (part) => (text += part));
    await goaway;
    await once(stream, "end");
    assert.ok(text.endsWith("data: [DONE]\n\n"));
    assert.equal((await whole).status, 200);
    await once(session, "close");
  },

  async settings() {
    const [settings] = await once(session, "remoteSettings");
    assert.equal(settings.maxConcurrentStreams, 3);
    const answers = await Promise.all(Array.from({ length: 12 }, () => answer(open(ask(1)))));
    for (const { status } of answers) assert.equal(status, 200);
  },
};

session.on("error", (error) => { console.error(error); process.exit(1); });
await scenarios[scenario]();
session.close();
process.stdin.destroy();
