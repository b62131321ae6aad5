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

  async structured_output() {
    const schema = {
      type: "object",
      properties: { ok: { type: "boolean" }, count: { type: "integer", minimum: 0, maximum: 99 }, color: { enum: ["red", "green"] } },
      required: ["ok", "count", "color"],
      additionalProperties: false,
    };
    const response_format = { type: "json_schema", json_schema: { name: "thing", schema, strict: true } };
    for (const temperature of [0, 1]) {  // the tiny model is fond of white space
      const answer = await client.chat.completions.parse({ model: "tiny", messages, temperature, max_tokens: 3000, response_format });
      const { parsed } = answer.choices[0].message;
      assert.equal(answer.choices[0].finish_reason, "stop");
      assert.deepEqual(Object.keys(parsed).sort(), ["color", "count", "ok"]);
      assert.ok(typeof parsed.ok === "boolean" && Number.isInteger(parsed.count) && parsed.count <= 99);
      assert.ok(["red", "green"].includes(parsed.color));
    }
    const bad = { type: "json_schema", json_schema: { name: "thing", schema: { type: "object", properties: { a: { $ref: "#/nowhere" } } } } };
    await rejects(client.chat.completions.create({ model: "tiny", messages, response_format: bad }), OpenAI.BadRequestError,
      (e) => assert.match(e.param, /^response_format/));
  },

  async tools() {
    const tool = (name) => ({
      type: "function",
      function: {
        name,
        description: `Does ${name}.`,
        parameters: { type: "object", properties: { level: { type: "integer" }, mode: { enum: ["fast", "slow"] } }, required: ["level", "mode"] },
      },
    });
    const tools = [tool("set_heat"), tool("set_light")];
    const request = { model: "tiny", messages, tools, tool_choice: "required", parallel_tool_calls: false, temperature: 0, max_tokens: 3000 };
    const whole = (await client.chat.completions.create(request)).choices[0];
    assert.equal(whole.finish_reason, "tool_calls");
    const [call] = whole.message.tool_calls;
    assert.match(call.id, /./);
    assert.ok(["set_heat", "set_light"].includes(call.function.name));
    const given = JSON.parse(call.function.arguments);
    assert.ok(Number.isInteger(given.level) && ["fast", "slow"].includes(given.mode));

    const assembled = { name: "", arguments: "" };
    let finish = null;
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
      for (const delta of chunk.choices[0]?.delta.tool_calls ?? []) {
        assert.equal(delta.index, 0);
        assembled.name += delta.function?.name ?? "";
        assembled.arguments += delta.function?.arguments ?? "";
      }
      finish ??= chunk.choices[0]?.finish_reason;
    }
    assert.equal(finish, "tool_calls");
    assert.deepEqual(assembled, { name: call.function.name, arguments: call.function.arguments });

    const named = await client.chat.completions.create({ ...request, tool_choice: { type: "function", function: { name: "set_light" } } });
    assert.equal(named.choices[0].message.tool_calls[0].function.name, "set_light");
    // The answer goes back into the conversation, with the tool's result behind it.
    const next = [...messages, whole.message, { role: "tool", tool_call_id: call.id, content: "done" }];
    assert.ok(await client.chat.completions.create({ model: "tiny", messages: next, tools, tool_choice: "none", max_tokens: 5 }));

    await rejects(client.chat.completions.create({ model: "tiny", messages, tool_choice: "required" }), OpenAI.BadRequestError,
      (e) => assert.equal(e.param, "tool_choice"));
    await rejects(client.chat.completions.create({ ...request, tool_choice: { type: "function", function: { name: "fly" } } }),
      OpenAI.BadRequestError, (e) => assert.match(e.message, /fly/));
  },

  async parallel_tools() {
    const tools = ["a", "b"].map((name) => ({
      type: "function", function: { name, parameters: { type: "object", properties: { n: { enum: [1, 2] } }, required: ["n"] } },
    }));
    const answer = await client.chat.completions.create({
      model: "tiny", messages, tools, tool_choice: "required", parallel_tool_calls: true, temperature: 1, seed: 3, max_tokens: 300,
    });
    const calls = answer.choices[0].message.tool_calls;
    assert.ok(calls.length >= 1);
    assert.equal(new Set(calls.map((call) => call.id)).size, calls.length);
    for (const call of calls) assert.ok([1, 2].includes(JSON.parse(call.function.arguments).n));
  },

  async logprobs() {
    const chat = await client.chat.completions.create(
      { model: "tiny", messages, max_tokens: 8, temperature: 0, logprobs: true, top_logprobs: 3 });
    const { content } = chat.choices[0].logprobs;
    assert.equal(content.length, 8);
    for (const token of content) {
      assert.equal(token.top_logprobs.length, 3);
      assert.equal(token.top_logprobs[0].token, token.token);  // greedy takes the likeliest
      assert.ok(token.logprob <= 0 && token.top_logprobs[1].logprob <= token.logprob);
    }
    const bytes = content.flatMap((token) => token.bytes);
    assert.equal(new TextDecoder().decode(new Uint8Array(bytes)), chat.choices[0].message.content);

    const request = { model: "tiny", prompt: "Hello", max_tokens: 8, temperature: 0, logprobs: 2 };
    const whole = (await client.completions.create(request)).choices[0].logprobs;
    assert.equal(whole.tokens.length, 8);
    assert.equal(Object.keys(whole.top_logprobs[0]).length, 2);
    assert.equal(whole.text_offset[0], 0);
    const streamed = { tokens: [], text_offset: [] };
    for await (const chunk of await client.completions.create({ ...request, stream: true })) {
      streamed.tokens.push(...(chunk.choices[0].logprobs?.tokens ?? []));
      streamed.text_offset.push(...(chunk.choices[0].logprobs?.text_offset ?? []));
    }
    assert.deepEqual(streamed, { tokens: whole.tokens, text_offset: whole.text_offset });
    await rejects(client.chat.completions.create({ model: "tiny", messages, logprobs: true, top_logprobs: 21 }),
      OpenAI.BadRequestError, (e) => assert.equal(e.param, "top_logprobs"));
    await rejects(client.chat.completions.create({ model: "tiny", messages, top_logprobs: 2 }), OpenAI.BadRequestError,
      (e) => assert.equal(e.param, "top_logprobs"));
  },

  async embeddings() {
    const input = ["one", "another", "one"];  // the client asks for base64 and unpacks it
    const { data, usage, model } = await client.embeddings.create({ model: "bge-small", input });
    assert.equal(model, "bge-small");
    assert.deepEqual(data.map((each) => each.index), [0, 1, 2]);
    assert.equal(data[0].embedding.length, 64);
    assert.ok(usage.prompt_tokens > 2 && usage.total_tokens === usage.prompt_tokens);
    const numbers = await client.embeddings.create({ model: "bge-small", input, encoding_format: "float" });
    for (const [i, value] of numbers.data[1].embedding.entries())
      assert.ok(Math.abs(value - data[1].embedding[i]) < 1e-5);
    const short = await client.embeddings.create({ model: "bge-small", input: "one", dimensions: 16 });
    assert.equal(short.data[0].embedding.length, 16);
    assert.ok(Math.abs(Math.hypot(...short.data[0].embedding) - 1) < 1e-4);
    await rejects(client.embeddings.create({ model: "bge-small", input: "one", dimensions: 1000 }), OpenAI.BadRequestError,
      (e) => assert.equal(e.param, "dimensions"));
    await rejects(client.embeddings.create({ model: "bge-small", input: "" }), OpenAI.BadRequestError,
      (e) => assert.equal(e.param, "input"));
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
