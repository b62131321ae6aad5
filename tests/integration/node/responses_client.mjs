// Scenarios of OpenAI's official client for Responses: node responses_client.mjs BASE_URL SCENARIO. Silent and 0 when all is as it should be.
import assert from "node:assert/strict";
import OpenAI from "openai";

const [baseURL, scenario] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "ann", maxRetries: 0 });
const base = { model: "tiny", input: "Say something.", max_output_tokens: 12, temperature: 0 };

async function rejects(promise, kind, check) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
    check(error);
    return true;
  });
}

function tool(name) {
  return {
    type: "function",
    name,
    strict: true,
    parameters: {
      type: "object", properties: { level: { type: "integer" }, mode: { enum: ["fast", "slow"] } }, required: ["level", "mode"], additionalProperties: false,
    },
  };
}

const scenarios = {
  async response() {
    const response = await client.responses.create(base);
    assert.match(response.id, /^resp_/);
    assert.equal(response.object, "response");
    assert.equal(response.status, "incomplete");
    assert.equal(response.incomplete_details.reason, "max_output_tokens");
    assert.equal(response.model, "tiny");
    assert.equal(response.output.length, 1);
    assert.ok(response.output_text.length > 0);
    assert.equal(response.usage.output_tokens, 12);
    assert.equal(response.usage.total_tokens, response.usage.input_tokens + 12);
    assert.equal(response.temperature, 0);
    const items = await client.responses.create({ ...base, instructions: "Be brief.", metadata: { a: "b" },
      input: [{ role: "developer", content: "Now." }, { role: "user", content: [{ type: "input_text", text: "Say" }, { type: "input_text", text: "this." }] }] });
    assert.equal(items.instructions, "Be brief.");
    assert.deepEqual(items.metadata, { a: "b" });
    assert.ok(items.usage.input_tokens > response.usage.input_tokens);
  },

  async stream() {
    const whole = await client.responses.create(base);
    const events = [];
    for await (const event of await client.responses.create({ ...base, stream: true })) events.push(event);
    assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, i) => i));
    assert.deepEqual(events.slice(0, 4).map((event) => event.type),
      ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"]);
    assert.deepEqual(events.slice(-4).map((event) => event.type),
      ["response.output_text.done", "response.content_part.done", "response.output_item.done", "response.incomplete"]);
    const text = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta).join("");
    assert.equal(text, whole.output_text);
    assert.equal(events.at(-1).response.usage.output_tokens, 12);

    let heard = "";
    const stream = client.responses.stream(base).on("response.output_text.delta", (event) => (heard += event.delta));
    const final = await stream.finalResponse();
    assert.equal(heard, whole.output_text);
    assert.equal(final.output_text, whole.output_text);
    assert.equal(final.status, "incomplete");
  },

  async parse() {
    const schema = { type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"], additionalProperties: false };
    const response = await client.responses.parse({ ...base, max_output_tokens: 3000,
      text: { format: { type: "json_schema", name: "thing", schema, strict: true, $brand: "auto-parseable-response-format", $parseRaw: JSON.parse } } });
    assert.equal(response.status, "completed");
    assert.equal(typeof response.output_parsed.ok, "boolean");
  },

  async tools() {
    const request = { ...base, tools: [tool("set_heat"), tool("set_light")], tool_choice: "required", parallel_tool_calls: false, max_output_tokens: 3000 };
    const whole = await client.responses.create(request);
    assert.equal(whole.status, "completed");
    const [call] = whole.output.filter((item) => item.type === "function_call");
    assert.match(call.call_id, /./);
    assert.ok(["set_heat", "set_light"].includes(call.name));
    const given = JSON.parse(call.arguments);
    assert.ok(Number.isInteger(given.level) && ["fast", "slow"].includes(given.mode));

    const streamed = await client.responses.stream(request).finalResponse();
    const [again] = streamed.output.filter((item) => item.type === "function_call");
    assert.deepEqual({ name: again.name, arguments: again.arguments }, { name: call.name, arguments: call.arguments });

    const named = await client.responses.create({ ...request, tool_choice: { type: "function", name: "set_light" } });
    assert.equal(named.output.find((item) => item.type === "function_call").name, "set_light");

    // The tool's result goes on from what is stored, or behind the whole conversation.
    const result = { type: "function_call_output", call_id: call.call_id, output: "done" };
    const next = { ...request, tool_choice: "none", max_output_tokens: 5 };
    const stored = await client.responses.create({ ...next, previous_response_id: whole.id, input: [result] });
    const sent = await client.responses.create({ ...next, input: [{ role: "user", content: base.input }, ...whole.output, result] });
    assert.equal(stored.usage.input_tokens, sent.usage.input_tokens);
    assert.equal(stored.output_text, sent.output_text);

    await rejects(client.responses.create({ ...base, tool_choice: "required" }), OpenAI.BadRequestError, (e) => assert.equal(e.param, "tool_choice"));
    await rejects(client.responses.create({ ...base, tools: [{ type: "web_search" }] }), OpenAI.BadRequestError,
      (e) => assert.equal(e.param, "tools[0].type"));
  },

  async conversation() {
    const first = await client.responses.create(base);
    const second = await client.responses.create({ ...base, input: "And then?", previous_response_id: first.id });
    assert.equal(second.previous_response_id, first.id);
    const whole = await client.responses.create({ ...base, store: false,
      input: [{ role: "user", content: base.input }, ...first.output, { role: "user", content: "And then?" }] });
    assert.equal(second.usage.input_tokens, whole.usage.input_tokens);
    assert.equal(second.output_text, whole.output_text);
    await rejects(client.responses.create({ ...base, previous_response_id: whole.id }), OpenAI.NotFoundError,
      (e) => assert.equal(e.param, "previous_response_id"));
  },

  async store() {
    const response = await client.responses.create(base);
    const found = await client.responses.retrieve(response.id);
    assert.deepEqual(found.output, response.output);
    assert.deepEqual(found.usage, response.usage);
    const items = [];
    for await (const item of client.responses.inputItems.list(response.id)) items.push(item);
    assert.deepEqual(items.map((item) => item.content), [[{ type: "input_text", text: base.input }]]);
    await rejects(client.responses.cancel(response.id), OpenAI.BadRequestError, (e) => assert.match(e.message, /background/));
    const other = new OpenAI({ baseURL, apiKey: "eve", maxRetries: 0 });
    await rejects(other.responses.retrieve(response.id), OpenAI.NotFoundError, (e) => assert.equal(e.code, "response_not_found"));
    await client.responses.delete(response.id);
    await rejects(client.responses.retrieve(response.id), OpenAI.NotFoundError, () => {});
  },

  async logprobs() {
    const response = await client.responses.create({ ...base, include: ["message.output_text.logprobs"], top_logprobs: 2 });
    const [{ logprobs, text }] = response.output[0].content;
    assert.equal(logprobs.map((token) => token.token).join(""), text);
    for (const token of logprobs) {
      assert.equal(token.top_logprobs.length, 2);
      assert.equal(token.top_logprobs[0].token, token.token);
    }
  },

  async errors() {
    await rejects(client.responses.create({ ...base, temperature: 3 }), OpenAI.BadRequestError, (e) => assert.equal(e.param, "temperature"));
    await rejects(client.responses.create({ ...base, model: "huge" }), OpenAI.NotFoundError, (e) => assert.equal(e.code, "model_not_found"));
    await rejects(client.responses.create({ ...base, background: true }), OpenAI.BadRequestError, (e) => assert.equal(e.param, "background"));
    await rejects(client.responses.create({ ...base, stream: true, max_output_tokens: 1e6 }), OpenAI.BadRequestError,
      (e) => assert.equal(e.code, "context_length_exceeded"));
  },
};

await scenarios[scenario]();
