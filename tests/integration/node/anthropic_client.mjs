// Scenarios of Anthropic's official client: node anthropic_client.mjs BASE_URL SCENARIO. Silent and 0 when all is as it should be.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const [baseURL, scenario] = process.argv.slice(2);
const client = new Anthropic({ baseURL, apiKey: "none", authToken: null, maxRetries: 0 });
const messages = [{ role: "user", content: "Say something." }];
const base = { model: "tiny", messages, max_tokens: 12, temperature: 0 };

async function rejects(promise, kind, check) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
    check(error);
    return true;
  });
}

const textOf = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");

function tool(name) {
  return {
    name,
    description: `Does ${name}.`,
    input_schema: { type: "object", properties: { level: { type: "integer" }, mode: { enum: ["fast", "slow"] } }, required: ["level", "mode"] },
  };
}

const scenarios = {
  async message() {
    const message = await client.messages.create(base);
    assert.match(message.id, /^msg_/);
    assert.equal(message.type, "message");
    assert.equal(message.role, "assistant");
    assert.equal(message.model, "tiny");
    assert.deepEqual(message.content.map((block) => block.type), ["text"]);
    assert.ok(textOf(message).length > 0);
    assert.equal(message.stop_reason, "max_tokens");
    assert.equal(message.stop_sequence, null);
    assert.equal(message.usage.output_tokens, 12);
    assert.ok(message.usage.input_tokens + message.usage.cache_read_input_tokens > 0);
    assert.ok(message._request_id);
    const blocks = await client.messages.create({ ...base, system: [{ type: "text", text: "Be brief." }],
      messages: [{ role: "user", content: [{ type: "text", text: "Say", cache_control: { type: "ephemeral" } }, { type: "text", text: "this." }] }] });
    assert.ok(textOf(blocks).length > 0);
  },

  async stream() {
    const whole = await client.messages.create(base);
    const events = [];
    for await (const event of await client.messages.create({ ...base, stream: true })) events.push(event);
    assert.equal(events[0].type, "message_start");
    assert.equal(events.at(-1).type, "message_stop");
    assert.equal(events.at(-2).type, "message_delta");
    assert.equal(events.at(-2).usage.output_tokens, 12);
    const text = events.filter((event) => event.type === "content_block_delta").map((event) => event.delta.text).join("");
    assert.equal(text, textOf(whole));

    let heard = "";
    const stream = client.messages.stream(base).on("text", (delta) => (heard += delta));
    const final = await stream.finalMessage();
    assert.equal(heard, textOf(whole));
    assert.deepEqual(final.content, whole.content);
    assert.equal(final.stop_reason, "max_tokens");
    assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
  },

  async stop_sequence() {
    const free = textOf(await client.messages.create({ ...base, max_tokens: 40 }));
    const word = free.slice(5, 8);
    const request = { ...base, max_tokens: 40, stop_sequences: ["never said \u0001", word] };
    const whole = await client.messages.create(request);
    assert.equal(whole.stop_reason, "stop_sequence");
    assert.equal(whole.stop_sequence, word);
    assert.equal(textOf(whole), free.slice(0, free.indexOf(word)));
    const streamed = await client.messages.stream(request).finalMessage();
    assert.equal(streamed.stop_reason, "stop_sequence");
    assert.equal(streamed.stop_sequence, word);
    assert.equal(textOf(streamed), textOf(whole));
  },

  async prefill() {
    const begun = [...messages, { role: "assistant", content: "Once upon" }];
    const message = await client.messages.create({ ...base, messages: begun });
    assert.ok(!textOf(message).startsWith("Once upon"), "the beginning is not said again");
    const counted = await client.messages.countTokens({ model: "tiny", messages: begun });
    assert.ok(counted.input_tokens > (await client.messages.countTokens({ model: "tiny", messages })).input_tokens);
  },

  async tools() {
    const request = { ...base, tools: [tool("set_heat"), tool("set_light")], max_tokens: 3000,
      tool_choice: { type: "any", disable_parallel_tool_use: true } };
    const whole = await client.messages.create(request);
    assert.equal(whole.stop_reason, "tool_use");
    const calls = whole.content.filter((block) => block.type === "tool_use");
    assert.equal(calls.length, 1);
    const [call] = calls;
    assert.match(call.id, /./);
    assert.ok(["set_heat", "set_light"].includes(call.name));
    assert.ok(Number.isInteger(call.input.level) && ["fast", "slow"].includes(call.input.mode));

    const streamed = await client.messages.stream(request).finalMessage();
    assert.equal(streamed.stop_reason, "tool_use");
    const [again] = streamed.content.filter((block) => block.type === "tool_use");
    assert.deepEqual({ name: again.name, input: again.input }, { name: call.name, input: call.input });

    const named = await client.messages.create({ ...request, tool_choice: { type: "tool", name: "set_light", disable_parallel_tool_use: true } });
    assert.equal(named.content.find((block) => block.type === "tool_use").name, "set_light");

    // The answer goes back into the conversation, with the tool's result behind it.
    const next = [...messages, { role: "assistant", content: whole.content },
      { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "done" }, { type: "text", text: "And now?" }] }];
    assert.ok(await client.messages.create({ ...request, messages: next, tool_choice: { type: "none" }, max_tokens: 5 }));

    await rejects(client.messages.create({ ...request, tool_choice: { type: "tool", name: "fly" } }), Anthropic.BadRequestError,
      (e) => assert.match(e.message, /fly/));
    await rejects(client.messages.create({ ...request, tools: [{ type: "web_search_20250305", name: "web_search" }] }), Anthropic.BadRequestError,
      (e) => assert.match(e.message, /web_search_20250305/));
  },

  async structured_output() {
    const schema = { type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"], additionalProperties: false };
    const message = await client.messages.create({ ...base, max_tokens: 3000, output_config: { format: { type: "json_schema", schema } } });
    assert.equal(message.stop_reason, "end_turn");
    assert.equal(typeof JSON.parse(textOf(message)).ok, "boolean");
  },

  async count_tokens() {
    const plain = await client.messages.countTokens({ model: "tiny", messages });
    assert.ok(plain.input_tokens > 0);
    const { usage } = await client.messages.create(base);
    assert.equal(plain.input_tokens, usage.input_tokens + usage.cache_read_input_tokens);
    const more = await client.messages.countTokens({ model: "tiny", messages, system: "Be brief.", tools: [tool("set_heat")] });
    assert.ok(more.input_tokens > plain.input_tokens);
  },

  async errors() {
    const create = (change) => client.messages.create({ ...base, ...change });
    const is = (type, text) => (e) => {
      assert.equal(e.error.type, "error");
      assert.equal(e.error.error.type, type);
      assert.match(e.error.error.message, text);
      assert.ok(e.requestID);
    };
    await rejects(create({ temperature: 2 }), Anthropic.BadRequestError, is("invalid_request_error", /temperature/));
    await rejects(create({ max_tokens: 0 }), Anthropic.BadRequestError, is("invalid_request_error", /max_tokens/));
    await rejects(create({ max_tokens: 20000 }), Anthropic.BadRequestError, is("invalid_request_error", /context/));
    await rejects(create({ model: "huge" }), Anthropic.NotFoundError, is("not_found_error", /tiny/));
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "" } };
    await rejects(create({ messages: [{ role: "user", content: [image] }] }), Anthropic.BadRequestError, is("invalid_request_error", /text only/));
    await rejects(client.messages.countTokens({ model: "huge", messages }), Anthropic.NotFoundError, is("not_found_error", /tiny/));
    await rejects(client.messages.batches.list(), Anthropic.NotFoundError, (e) => assert.equal(e.error.error.type, "not_found_error"));
  },

  async abort() {
    const stream = await client.messages.create({ ...base, max_tokens: 3000, stream: true });
    let seen = 0;
    for await (const _ of stream) if (++seen === 4) break;  // leaving the loop aborts the request
    assert.equal(seen, 4);
  },

  async too_many() {
    await rejects(client.messages.create(base), Anthropic.RateLimitError, (e) => {
      assert.equal(e.error.error.type, "rate_limit_error");
      assert.match(e.headers.get("retry-after"), /^\d+$/);
    });
  },

  async retries() {
    // The place becomes free while the client waits as it was told.
    const patient = new Anthropic({ baseURL, apiKey: "none", authToken: null, maxRetries: 8 });
    const message = await patient.messages.create({ ...base, max_tokens: 3 });
    assert.equal(message.usage.output_tokens, 3);
  },
};

await scenarios[scenario]();
