// Scenarios for clients of OpenAI's and Cohere's API that are not OpenAI's own: node third_party_client.mjs BASE_URL SCENARIO
import assert from "node:assert/strict";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { embed, embedMany, generateObject, streamText, tool } from "ai";
import { CohereClient, CohereClientV2 } from "cohere-ai";
import { z } from "zod";

const [base, scenario] = process.argv.slice(2);
const documents = ["A bear that eats bamboo.", "A car.", "A plane."];
const query = "What is a panda?";

const vercel = createOpenAICompatible({ name: "local", baseURL: `${base}/v1`, apiKey: "none", includeUsage: true, supportsStructuredOutputs: true });
const langchain = { apiKey: "none", configuration: { baseURL: `${base}/v1` }, maxRetries: 0 };
const shape = z.object({ city: z.enum(["Paris", "Rome"]), number: z.number().int() });

function ranked(results) {
  assert.equal(results.length, 2);
  assert.ok(results[0].relevanceScore >= results[1].relevanceScore);
  for (const result of results) assert.ok(result.index < documents.length);
}

const scenarios = {
  async cohere_v2() {
    const client = new CohereClientV2({ token: "none", environment: base });
    const answer = await client.rerank({ model: "bge-reranker", query, documents, topN: 2 });
    ranked(answer.results);
    assert.ok(answer.id);
    assert.equal(answer.meta.apiVersion.version, "2");
    await assert.rejects(client.rerank({ model: "bge-reranker", query, documents: [] }, { maxRetries: 0 }),
      (e) => e.statusCode === 400);
  },

  async cohere_v1() {
    const client = new CohereClient({ token: "none", environment: base });
    const answer = await client.rerank({ model: "bge-reranker", query, documents, topN: 2, returnDocuments: true });
    ranked(answer.results);
    for (const result of answer.results) assert.equal(result.document.text, documents[result.index]);
  },

  async vercel_stream() {
    const { textStream, usage, finishReason } = streamText({ model: vercel("tiny"), prompt: "Hi", maxOutputTokens: 10, temperature: 0 });
    let text = "";
    for await (const part of textStream) text += part;
    assert.ok(text.length > 0);
    assert.equal(await finishReason, "length");
    assert.equal((await usage).outputTokens, 10);
  },

  async vercel_object() {
    const { object } = await generateObject({ model: vercel("tiny"), prompt: "Hi", schema: shape, maxOutputTokens: 3000, temperature: 0 });
    shape.parse(object);
  },

  async vercel_tools() {
    const weather = tool({ description: "The weather", inputSchema: z.object({ city: z.enum(["Paris", "Rome"]) }) });
    const { toolCalls } = streamText({ model: vercel("tiny"), prompt: "Hi", tools: { weather }, toolChoice: "required", temperature: 1, seed: 3,
                                       // A tiny model would call on and on, until a limit cuts the last call.
                                       maxOutputTokens: 3000, providerOptions: { local: { parallel_tool_calls: false } } });
    const calls = await toolCalls;
    assert.equal(calls.length, 1);
    for (const call of calls) assert.ok(["Paris", "Rome"].includes(call.input.city));
  },

  async vercel_embed() {
    const model = vercel.textEmbeddingModel("bge-small");
    const one = await embed({ model, value: "one" });
    assert.equal(one.embedding.length, 64);
    const { embeddings } = await embedMany({ model, values: ["one", "two"] });
    assert.equal(embeddings.length, 2);
    for (const [i, value] of embeddings[0].entries()) assert.ok(Math.abs(value - one.embedding[i]) < 1e-4);
  },

  async langchain_chat() {
    const model = new ChatOpenAI({ ...langchain, model: "tiny", maxTokens: 10, temperature: 0 });
    const whole = await model.invoke("Hi");
    assert.ok(whole.content.length > 0);
    assert.equal(whole.usage_metadata.output_tokens, 10);
    let text = "";
    for await (const chunk of await model.stream("Hi")) text += chunk.content;
    assert.equal(text, whole.content);
  },

  async langchain_structure() {
    const model = new ChatOpenAI({ ...langchain, model: "tiny", maxTokens: 3000, temperature: 0 });
    shape.parse(await model.withStructuredOutput(shape, { method: "jsonSchema" }).invoke("Hi"));
  },

  async langchain_embeddings() {
    const model = new OpenAIEmbeddings({ ...langchain, model: "bge-small" });
    const [one, two] = await model.embedDocuments(["one", "two"]);
    assert.equal(one.length, 64);
    assert.notDeepEqual(one, two);
    const again = await model.embedQuery("one");
    for (const [i, value] of again.entries()) assert.ok(Math.abs(value - one[i]) < 1e-4);
  },
};

await scenarios[scenario]();
