// Scenarios of gRPC's own client for Node: node grpc_client.mjs ADDRESS PROTO_FOLDER SCENARIO. Silent and 0 when all is as it
// should be.
import assert from "node:assert/strict";
import http2 from "node:http2";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const [address, folder, scenario] = process.argv.slice(2);
const load = (file) =>
  grpc.loadPackageDefinition(loader.loadSync(file, { includeDirs: [folder], keepCase: true, defaults: true, enums: String,
                                                longs: Number }));
const ours = load("openautoglm/v1/inference.proto").openautoglm.v1;
const { health } = load("grpc/health/v1/health.proto").grpc;
const { reflection } = load("grpc/reflection/v1/reflection.proto").grpc;
const { reflection: alpha } = load("grpc/reflection/v1alpha/reflection.proto").grpc;
const kserve = load("inference/grpc_predict_v2.proto").inference;
const status = loader.loadSync("google/rpc/status.proto", { includeDirs: [folder], keepCase: true });
const plain = grpc.credentials.createInsecure();

const inference = (options) => new ours.Inference(address, plain, options);
const client = inference();

/// One request, one answer: { error, response, metadata, trailers }.
function ask(stub, method, request, { metadata = new grpc.Metadata(), options = {} } = {}) {
  return new Promise((resolve) => {
    const answer = {};
    const call = stub[method](request, metadata, options, (error, response) => {
      Object.assign(answer, { error, response });
      // The status comes after the answer.
      setImmediate(() => resolve(answer));
    });
    call.on("metadata", (head) => (answer.metadata = head));
    call.on("status", (end) => (answer.trailers = end.metadata));
  });
}

/// The messages of a stream, and its status.
function collect(call) {
  return new Promise((resolve) => {
    const answer = { messages: [] };
    call.on("data", (message) => answer.messages.push(message));
    call.on("metadata", (head) => (answer.metadata = head));
    call.on("error", () => {});
    call.on("status", (end) => resolve({ ...answer, status: end }));
  });
}

/// The next messages of a stream, one at a time.
function reader(call) {
  const ready = [];
  const waiting = [];
  call.on("data", (message) => (waiting.length > 0 ? waiting.shift()(message) : ready.push(message)));
  call.on("error", () => {});
  return () => (ready.length > 0 ? Promise.resolve(ready.shift()) : new Promise((resolve) => waiting.push(resolve)));
}

const textOf = (messages) => messages.flatMap((message) => message.deltas).map((delta) => delta.text ?? delta.content).join("");
const hello = { text: "Hello", stop: { max_tokens: 20 }, sampling: { temperature: 0 } };
const chat = { messages: [{ role: "user", content: "Say something." }], stop: { max_tokens: 12 }, sampling: { temperature: 0 } };

function infer(id, text, more = {}, parameters = {}) {
  const bytes = (name, value) => ({ name, datatype: "BYTES", shape: [1], contents: { bytes_contents: [Buffer.from(value)] } });
  return {
    id,
    model_name: "tiny",
    inputs: [bytes("text_input", text), bytes("sampling_parameters", JSON.stringify({ temperature: "0", max_tokens: "8", ...parameters })),
             ...Object.entries(more).map(([name, value]) =>
               ({ name, datatype: "BOOL", shape: [1], contents: { bool_contents: [value] } }))],
  };
}

const scenarios = {
  async unary() {
    const { response, error } = await ask(client, "Tokenize", { text: "Hello", return_token_strs: true });
    assert.equal(error, null);
    assert.ok(response.tokens.length > 0);
    assert.equal(response.token_strs.length, response.tokens.length);
    const back = await ask(client, "Detokenize", { tokens: response.tokens.slice(response.tokens.length > 5 ? 1 : 0) });
    assert.match(back.response.text, /Hello/);
    const models = await ask(client, "Models", {});
    assert.deepEqual(models.response.models.map((model) => model.id), ["tiny"]);
  },

  async server_stream() {
    const first = await collect(client.Generate(hello));
    assert.equal(first.status.code, grpc.status.OK);
    assert.equal(first.messages[0].model, "tiny");
    assert.ok(textOf(first.messages).length > 0);
    const { usage } = first.messages.at(-1);
    assert.ok(usage.completion_tokens > 0 && usage.completion_tokens <= 20);
    const again = await collect(client.Generate(hello));
    assert.equal(textOf(again.messages), textOf(first.messages));
    const said = await collect(client.Chat(chat));
    assert.equal(said.status.code, grpc.status.OK);
    assert.ok(textOf(said.messages).length > 0);
    const ends = said.messages.flatMap((message) => message.deltas).filter((d) => d.finish_reason !== "FINISH_REASON_UNSPECIFIED");
    assert.equal(ends.length, 1);
  },

  async same_text_as_rest() {
    const { messages } = await collect(client.Chat(chat));
    const response = await fetch(`http://${address}/v1/chat/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ messages: chat.messages, max_tokens: 12, temperature: 0 }),
    });
    assert.equal(textOf(messages), (await response.json()).choices[0].message.content);
  },

  async structured() {
    const request = { ...chat, stop: { max_tokens: 60 }, format: { json_schema: JSON.stringify({ enum: ["yes", "no"] }) } };
    const { messages, status: end } = await collect(client.Chat(request));
    assert.equal(end.code, grpc.status.OK, end.details);
    assert.match(textOf(messages), /^"(yes|no)"$/);
  },

  async empty_and_large() {
    const { response } = await ask(client, "Models", {});
    assert.equal(response.models.length, 1);
    const text = "word ".repeat(200_000); // a million bytes: several windows
    const large = await ask(client, "Tokenize", { text }, { options: { deadline: Date.now() + 50_000 } });
    assert.equal(large.error, null);
    assert.ok(large.response.tokens.length >= 200_000);
    const back = await ask(inference({ "grpc.max_receive_message_length": -1 }), "Detokenize", { tokens: large.response.tokens });
    assert.ok(back.response.text.includes("word word"));
  },

  async too_large() {
    const big = inference({ "grpc.max_send_message_length": -1 });
    const { error } = await ask(big, "Tokenize", { text: "x".repeat(3_000_000) });
    assert.equal(error.code, grpc.status.RESOURCE_EXHAUSTED, error.details);
    assert.match(error.details, /server.max_body/);
  },

  async ping_pong() {
    const call = new kserve.GRPCInferenceService(address, plain).ModelStreamInfer();
    const next = reader(call);
    const texts = [];
    for (const id of ["first", "second", "third"]) {
      call.write(infer(id, "Hello", { stream: true }));
      let text = "";
      while (true) {
        const { infer_response: answer, error_message: error } = await next();
        assert.equal(error, "");
        assert.equal(answer.id, id);
        text += answer.outputs[0].contents.bytes_contents[0].toString();
        if (answer.parameters.triton_final_response.bool_param) break;
      }
      texts.push(text);
    }
    assert.equal(new Set(texts).size, 1);
    call.write({ ...infer("wrong", "Hello"), model_name: "huge" });
    assert.match((await next()).error_message, /tiny/);
    call.write(infer("whole", "Hello", { exclude_input_in_output: true }));
    assert.equal((await next()).infer_response.outputs[0].contents.bytes_contents[0].toString(), texts[0]);
    const end = new Promise((resolve) => call.on("status", resolve));
    call.end();
    assert.equal((await end).code, grpc.status.OK);
  },

  async kserve() {
    const stub = new kserve.GRPCInferenceService(address, plain);
    assert.equal((await ask(stub, "ServerLive", {})).response.live, true);
    assert.equal((await ask(stub, "ServerReady", {})).response.ready, true);
    assert.equal((await ask(stub, "ModelReady", { name: "tiny" })).response.ready, true);
    assert.equal((await ask(stub, "ServerMetadata", {})).response.name, "open-autoglm");
    const { response: described } = await ask(stub, "ModelMetadata", { name: "tiny" });
    assert.deepEqual(described.outputs.map((tensor) => tensor.name), ["text_output"]);
    const { response } = await ask(stub, "ModelInfer", infer("1", "Hello"));
    assert.match(response.outputs[0].contents.bytes_contents[0].toString(), /^Hello/);
    const { error } = await ask(stub, "ModelInfer", infer("1", "Hello", {}, { temperature: "hot" }));
    assert.equal(error.code, grpc.status.INVALID_ARGUMENT);
    assert.match(error.details, /temperature/);
  },

  async reflection() {
    for (const { ServerReflection } of [reflection.v1, alpha.v1alpha]) {
      const call = new ServerReflection(address, plain).ServerReflectionInfo();
      const next = reader(call);
      call.write({ list_services: "" });
      const names = (await next()).list_services_response.service.map((service) => service.name);
      assert.ok(names.includes("openautoglm.v1.Inference") && names.includes("inference.GRPCInferenceService"));
      for (const name of names) {
        call.write({ file_containing_symbol: name });
        assert.equal((await next()).file_descriptor_response.file_descriptor_proto.length, 1, name);
      }
      call.end();
    }
  },

  async cancel_after_first() {
    const call = client.Generate({ ...hello, stop: { max_tokens: 3000, ignore_eos: true } });
    const next = reader(call);
    await next();
    const end = new Promise((resolve) => call.on("status", resolve));
    call.cancel();
    assert.equal((await end).code, grpc.status.CANCELLED);
  },

  /// The server's own deadline: this client has none, so that the status is the server's.
  async deadline() {
    const session = http2.connect(`http://${address}`);
    const path = "/openautoglm.v1.Inference/Generate";
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers",
                                     "grpc-timeout": "100m" });
    const definition = ours.Inference.service.Generate;
    const message = definition.requestSerialize({ ...hello, stop: { max_tokens: 3000, ignore_eos: true } });
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([prefix, message]));
    stream.resume();
    // An answer that has not begun has its status in its head.
    const code = await new Promise((resolve) => {
      for (const event of ["response", "trailers"])
        stream.on(event, (fields) => fields["grpc-status"] && resolve(fields["grpc-status"]));
    });
    assert.equal(code, "4");
    session.close();
    const { error } = await ask(client, "Tokenize", { text: "Hello" }, { options: { deadline: Date.now() - 1000 } });
    assert.equal(error.code, grpc.status.DEADLINE_EXCEEDED);
  },

  async unimplemented() {
    const Other = grpc.makeGenericClientConstructor({
      Missing: { ...ours.Inference.service.Models, path: "/openautoglm.v1.Inference/Missing" },
      Elsewhere: { ...ours.Inference.service.Models, path: "/no.such.Service/Method" },
    });
    const other = new Other(address, plain);
    for (const method of ["Missing", "Elsewhere"]) {
      const { error } = await ask(other, method, {});
      assert.equal(error.code, grpc.status.UNIMPLEMENTED, method);
    }
  },

  async status_with_details() {
    const { status: end } = await collect(client.Generate({ ...hello, sampling: { temperature: 9 } }));
    assert.equal(end.code, grpc.status.INVALID_ARGUMENT);
    assert.match(end.details, /sampling\.temperature must be/);
    const [bytes] = end.metadata.get("grpc-status-details-bin");
    const type = status["google.rpc.Status"].type;
    assert.ok(type && bytes.includes("type.googleapis.com/google.rpc.BadRequest") && bytes.includes("sampling.temperature"));
    const { error } = await ask(client, "Models", { model: "größer" });
    assert.equal(error.code, grpc.status.NOT_FOUND);
    assert.match(error.details, /größer/);
  },

  async metadata() {
    const metadata = new grpc.Metadata();
    metadata.set("x-request-id", "mine-1");
    const { metadata: head } = await ask(client, "Models", {}, { metadata });
    assert.deepEqual(head.get("x-request-id"), ["mine-1"]);
    const told = await collect(client.Generate(hello, metadata));
    assert.equal(told.messages[0].id, "mine-1");
  },

  async gzip() {
    const packed = inference({ "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip });
    const text = "Hello ".repeat(2000);
    const { response, error } = await ask(packed, "Tokenize", { text });
    assert.equal(error, null);
    const { response: same } = await ask(client, "Tokenize", { text });
    assert.deepEqual(response.tokens, same.tokens);
  },

  async other_work() {
    const embed = await ask(client, "Embed", { inputs: [{ text: "Hello" }] });
    assert.equal(embed.error.code, grpc.status.INVALID_ARGUMENT);
    assert.match(embed.error.details, /engine.task: embed/);
    const rerank = await ask(client, "Rerank", { query: "q" });
    assert.equal(rerank.error.code, grpc.status.INVALID_ARGUMENT);
  },

  async unauthenticated() {
    const { status: end } = await collect(client.Generate(hello));
    assert.equal(end.code, grpc.status.UNAUTHENTICATED);
    assert.match(end.details, /key/);
    const wrong = new grpc.Metadata();
    wrong.set("authorization", "Bearer nothing");
    assert.equal((await ask(client, "Models", {}, { metadata: wrong })).error.code, grpc.status.UNAUTHENTICATED);
    const right = new grpc.Metadata();
    right.set("authorization", "Bearer sk-alice-0123456789");
    assert.equal((await ask(client, "Models", {}, { metadata: right })).response.models[0].id, "tiny");
    assert.ok((await collect(client.Generate(hello, right))).messages.length > 0);
    assert.equal((await ask(new health.v1.Health(address, plain), "Check", {})).response.status, "SERVING");
  },

  async budget_ends() {
    const alice = new grpc.Metadata();
    alice.set("authorization", "Bearer sk-alice-0123456789");
    const wanted = { ...hello, stop: { max_tokens: 2000, ignore_eos: true } };
    const { messages, status: end } = await collect(client.Generate(wanted, alice));
    assert.ok(messages.length > 0);
    assert.equal(end.code, grpc.status.RESOURCE_EXHAUSTED);
    assert.match(end.details, /budget/);
  },

  /// Says "watching" once the server serves, and waits for what the test does to it.
  async watch() {
    const stub = new health.v1.Health(address, plain);
    assert.equal((await ask(stub, "Check", {})).response.status, "SERVING");
    assert.equal((await ask(stub, "Check", { service: "nothing" })).error.code, grpc.status.NOT_FOUND);
    assert.equal((await ask(stub, "List", {})).response.statuses["openautoglm.v1.Inference"].status, "SERVING");
    const call = stub.Watch({});
    const next = reader(call);
    assert.equal((await next()).status, "SERVING");
    console.log("watching");
    const end = new Promise((resolve) => call.on("status", resolve));
    assert.equal((await next()).status, "NOT_SERVING");
    assert.equal((await end).code, grpc.status.UNAVAILABLE);
  },
};

await scenarios[scenario]();
process.exit(0);
