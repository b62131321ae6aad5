// Scenarios of the official client: node openai_client.mjs BASE_URL SCENARIO. Silent and 0 when all is as it should be.
import assert from "node:assert/strict";
import OpenAI from "openai";

const [baseURL, scenario] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "Say something." }];

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

async function rejects(promise, kind, check) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
    check(error);
    return true;
  });
}

const scenarios = {
  async models() {
    const list = await collect(client.models.list());
    assert.deepEqual(list.map((model) => model.id), ["tiny"]);
    assert.equal((await client.models.retrieve("tiny")).object, "model");
    await rejects(client.models.retrieve("huge"), OpenAI.NotFoundError, (e) => assert.match(e.message, /tiny/));
  },

  async chat() {
    const answer = await client.chat.completions.create({ model: "tiny", messages, max_tokens: 12 });
    assert.match(answer.id, /^chatcmpl-/);
    assert.equal(answer.object, "chat.completion");
    assert.equal(answer.choices[0].message.role, "assistant");
    assert.ok(answer.choices[0].message.content.length > 0);
    assert.equal(answer.choices[0].finish_reason, "length");
    assert.equal(answer.usage.completion_tokens, 12);
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + 12);
  },

  async streamed_chat() {
    const request = { model: "tiny", messages, max_completion_tokens: 12, temperature: 0 };
    const whole = await client.chat.completions.create(request);
    const chunks = await collect(
      await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } }));
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
    assert.equal(text, whole.choices[0].message.content);
    assert.equal(chunks[0].choices[0].delta.role, "assistant");
    const last = chunks.at(-1);
    assert.deepEqual(last.choices, []);
    assert.equal(last.usage.completion_tokens, 12);
    assert.equal(chunks.filter((chunk) => chunk.choices[0]?.finish_reason).length, 1);
    assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
  },

  async completions() {
    const request = { model: "tiny", prompt: "Hello", max_tokens: 20, temperature: 0 };
    const whole = await client.completions.create(request);
    assert.equal(whole.object, "text_completion");
    const chunks = await collect(await client.completions.create({ ...request, stream: true }));
    assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(""), whole.choices[0].text);
    assert.equal(chunks.at(-1).choices[0].finish_reason, "length");
  },

  async choices() {
    const request = { model: "tiny", prompt: "Hello", max_tokens: 20, n: 3, seed: 7 };
    const whole = await client.completions.create(request);
    assert.deepEqual(whole.choices.map((choice) => choice.index), [0, 1, 2]);
    assert.equal(whole.usage.completion_tokens, 60);
    const texts = ["", "", ""];
    for await (const chunk of await client.completions.create({ ...request, stream: true })) {
      for (const choice of chunk.choices) texts[choice.index] += choice.text;
    }
    assert.deepEqual(texts, whole.choices.map((choice) => choice.text));
    assert.ok(new Set(texts).size > 1, "three draws from one prompt are all the same");
  },

  async seed_and_stop() {
    const request = { model: "tiny", prompt: "Hello", max_tokens: 40, seed: 11, temperature: 1.5 };
    const texts = await Promise.all([1, 2, 3].map(async () => (await client.completions.create(request)).choices[0].text));
    assert.equal(new Set(texts).size, 1);
    const word = texts[0].split(" ")[5];
    const stopped = await client.completions.create({ ...request, stop: [" " + word] });
    assert.equal(stopped.choices[0].finish_reason, "stop");
    assert.equal(stopped.choices[0].text, texts[0].slice(0, texts[0].indexOf(" " + word)));
  },

  async errors() {
    const create = (change) => client.chat.completions.create({ model: "tiny", messages, ...change });
    await rejects(create({ temperature: 3 }), OpenAI.BadRequestError, (e) => {
      assert.equal(e.param, "temperature");
      assert.match(e.message, /3/);
    });
    await rejects(create({ max_tokens: 1e6 }), OpenAI.BadRequestError,
      (e) => assert.equal(e.code, "context_length_exceeded"));
    await rejects(create({ messages: [] }), OpenAI.BadRequestError, (e) => assert.equal(e.param, "messages"));
    await rejects(create({ model: "huge" }), OpenAI.NotFoundError, (e) => assert.equal(e.code, "model_not_found"));
  },

  async abort() {
    const stream = await client.completions.create(
      { model: "tiny", prompt: "Hello", max_tokens: 3000, stream: true, ignore_eos: true });
    let seen = 0;
    for await (const _ of stream) if (++seen === 5) break;  // leaving the loop aborts the request
    assert.equal(seen, 5);
  },

  async too_many() {
    await rejects(client.completions.create({ model: "tiny", prompt: "Hello" }), OpenAI.RateLimitError, (e) => {
      assert.equal(e.code, "queue_full");
      assert.match(e.headers.get("retry-after"), /^\d+$/);
    });
  },
};

await scenarios[scenario]();
