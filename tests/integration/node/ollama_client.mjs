// Scenarios of Ollama's own client: node ollama_client.mjs HOST SCENARIO. Silent and 0 when all is as it should be.
import assert from "node:assert/strict";
import { Ollama } from "ollama";

const [host, scenario] = process.argv.slice(2);
const client = new Ollama({ host });
const model = "tiny";
const messages = [{ role: "user", content: "Say something." }];
const options = { temperature: 0, num_predict: 12 };

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

async function rejects(promise, status, says) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.name, "ResponseError", error.stack);
    assert.equal(error.status_code, status, error.message);
    assert.match(error.message, says);
    return true;
  });
}

const scenarios = {
  async models() {
    const { models } = await client.list();
    assert.deepEqual(models.map((each) => each.name), ["tiny:latest"]);
    assert.ok(!Number.isNaN(Date.parse(models[0].modified_at)));
    const shown = await client.show({ model });
    assert.ok(shown.capabilities.includes("completion"));
    assert.ok(shown.template.length > 0);
    assert.ok(shown.model_info["unknown.context_length"] > 0);
    const running = await client.ps();
    assert.deepEqual(running.models.map((each) => each.name), ["tiny:latest"]);
    assert.match((await client.version()).version, /^\d+\.\d+\.\d+$/);
  },

  async chat() {
    const answer = await client.chat({ model, messages, options });
    assert.equal(answer.message.role, "assistant");
    assert.ok(answer.message.content.length > 0);
    assert.equal(answer.done, true);
    assert.equal(answer.done_reason, "length");
    assert.equal(answer.eval_count, 12);
    assert.ok(answer.prompt_eval_count > 0);
    assert.ok(answer.total_duration > 0);
    assert.ok(answer.prompt_eval_duration + answer.eval_duration <= answer.total_duration);
    assert.equal((await client.chat({ model: "tiny:latest", messages, options })).message.content, answer.message.content);
  },

  async streamed_chat() {
    const whole = await client.chat({ model, messages, options });
    const parts = await collect(await client.chat({ model, messages, options, stream: true }));
    assert.equal(parts.map((part) => part.message.content).join(""), whole.message.content);
    assert.equal(parts.filter((part) => part.done).length, 1);
    const last = parts.at(-1);
    assert.equal(last.done_reason, "length");
    assert.equal(last.eval_count, 12);
    assert.equal(last.prompt_eval_count, whole.prompt_eval_count);
  },

  async generate() {
    const whole = await client.generate({ model, prompt: "Hello", system: "Be brief.", options });
    const parts = await collect(await client.generate({ model, prompt: "Hello", system: "Be brief.", options, stream: true }));
    assert.equal(parts.map((part) => part.response).join(""), whole.response);
    const raw = await client.generate({ model, prompt: "Hello", raw: true, options: { ...options, seed: 7, temperature: 1.5 } });
    assert.equal((await client.generate({ model, prompt: "Hello", raw: true, options: { ...options, seed: 7, temperature: 1.5 } })).response,
      raw.response);
    const stopped = await client.generate({ model, prompt: "Hello", raw: true, options: { ...options, num_predict: 60, stop: [" "] } });
    assert.ok(!stopped.response.includes(" "));
  },

  async format() {
    const schema = { type: "object", properties: { level: { enum: [1, 2] } }, required: ["level"], additionalProperties: false };
    const answer = await client.chat({ model, messages, format: schema, options: { temperature: 0, num_predict: 200 } });
    assert.ok([1, 2].includes(JSON.parse(answer.message.content).level));
  },

  async tools() {
    const tools = [{ type: "function", function: { name: "heat", description: "Heats.",
      parameters: { type: "object", properties: { level: { type: "integer" } }, required: ["level"] } } }];
    const conversation = [...messages,
      { role: "assistant", content: "", tool_calls: [{ function: { name: "heat", arguments: { level: 3 } } }] },
      { role: "tool", tool_name: "heat", content: "done" }];
    const plain = await client.chat({ model, messages, options });
    const told = await client.chat({ model, messages: conversation, tools, options });
    assert.ok(told.prompt_eval_count > plain.prompt_eval_count, "the tool and its call are part of the prompt");
    for (const call of told.message.tool_calls ?? []) assert.equal(typeof call.function.arguments, "object");
  },

  async load() {
    const loaded = await client.generate({ model, prompt: "" });
    assert.equal(loaded.done_reason, "load");
    assert.equal((await client.pull({ model })).status, "success");
    assert.equal((await client.chat({ model, messages: [] })).done_reason, "load");
  },

  async errors() {
    await rejects(client.chat({ model: "huge", messages }), 404, /huge.*tiny/);
    await rejects(client.show({ model: "huge" }), 404, /huge/);
    await rejects(client.chat({ model, messages, options: { temperature: "warm" } }), 400, /options\.temperature/);
    await rejects(client.chat({ model, messages: [{ role: "user", content: "?", images: ["AAAA"] }] }), 400, /messages\[0\]\.images/);
    await rejects(client.generate({ model, prompt: "a", context: [1] }), 400, /context/);
    await rejects(client.generate({ model, prompt: "a", suffix: "b" }), 400, /suffix/);
    await rejects(client.pull({ model: "huge" }), 501, /configuration/);
    await rejects(client.create({ model: "new", from: "tiny" }), 501, /configuration/);
    await rejects(client.delete({ model }), 501, /configuration/);
    await rejects(client.chat({ model: "huge", messages, stream: true }), 404, /huge/);
  },

  // Of a server with a model for embeddings.
  async embed() {
    const { capabilities } = await client.show({ model: "bge-small" });
    assert.deepEqual(capabilities, ["embedding"]);
    const two = await client.embed({ model: "bge-small", input: ["Hello", "World"] });
    assert.equal(two.embeddings.length, 2);
    for (const vector of two.embeddings)
      assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-3);
    assert.ok(two.prompt_eval_count > 0);
    const one = await client.embeddings({ model: "bge-small", prompt: "Hello" });
    assert.equal(one.embedding.length, two.embeddings[0].length);
  },

  async abort() {
    const stream = await client.chat({ model, messages, stream: true, options: { num_predict: 3000 } });
    let parts = 0;
    await assert.rejects(async () => {
      for await (const part of stream) if (++parts === 2) stream.abort();
    }, { name: "AbortError" });
  },
};

await scenarios[scenario]();
