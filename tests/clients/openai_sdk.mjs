// The official OpenAI SDK for Node against a running Drover; any failed check ends it with an error.
//
// The provider behind Drover is scripted: the prompt says what it answers. Each line that is printed says of a prompt
// what has to have reached the provider.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const sonnet = "claude-sonnet-4-5";
const dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const client = new OpenAI({ maxRetries: 0 });
const ask = (prompt) => [{ role: "user", content: prompt }];
const numbered = (count) => Array.from({ length: count }, (_, n) => `word${n + 1}`).join(" ");

const text = (text) => ({ type: "text", text });
const user = (...content) => ({ role: "user", content });
const sent = (prompt, ...bodies) => {
  const usual = { model: sonnet, max_tokens: 32000, stream: true };
  console.log(JSON.stringify({ prompt, sent: bodies.map((body) => ({ ...usual, ...body })) }));
};

async function models() {
  const listed = (await client.models.list()).data;
  assert(listed.length > 0);
  assert.equal((await client.models.retrieve(listed[0].id)).id, listed[0].id);
  return listed[0].id;
}

async function whole(model) {
  const answer = await client.chat.completions.create({ model, messages: ask("say 5 words") });
  assert.equal(answer.choices[0].message.content, numbered(5));
  assert.equal(answer.choices[0].finish_reason, "stop");
  const { total_tokens, prompt_tokens, completion_tokens, prompt_tokens_details } = answer.usage;
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
  assert(prompt_tokens_details.cached_tokens > 0);
  assert.match(answer._request_id, /^req_/);
}

async function streamed(model) {
  const stream = await client.chat.completions.create({
    model,
    messages: ask("say 20 words"),
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const pieces = chunks.map((chunk) => chunk.choices[0]?.delta.content).filter(Boolean);
  assert.deepEqual([pieces.join(""), pieces.length], [numbered(20), 20]);
  assert(chunks.at(-1).usage.total_tokens > 0);
  assert.equal(chunks.at(-2).choices[0].finish_reason, "stop");
}

async function thinks(model) {
  const stream = client.chat.completions.stream({ model, messages: ask("think 2 words then say 6 words") });
  assert.equal(await stream.finalContent(), numbered(6));
}

async function refused(kind, code, { prompt = "hi", by = client, ...parameters }) {
  const error = await by.chat.completions
    .create({ model: name, messages: ask(prompt), ...parameters })
    .then(() => assert.fail(`${kind.name} was expected for ${prompt}`), (error) => error);
  assert(error instanceof kind, error);
  assert.equal(error.code, code);
  return error;
}

async function errors() {
  const error = await refused(OpenAI.BadRequestError, "unsupported_parameter", { seed: 2 });
  assert.deepEqual([error.param, error.type], ["seed", "invalid_request_error"]);
  await refused(OpenAI.NotFoundError, "model_not_found", { model: "gpt-9" });
  await refused(OpenAI.AuthenticationError, "invalid_api_key", { by: client.withOptions({ apiKey: "wrong" }) });
  const limited = { prompt: "status 429 retry-after 3" };
  const rate = await refused(OpenAI.RateLimitError, "provider_rate_limited", limited);
  assert.equal(rate.headers.get("retry-after"), "3");
  await refused(OpenAI.InternalServerError, "provider_overloaded", { prompt: "status 529" });
  await refused(OpenAI.BadRequestError, "invalid_request", { prompt: 'status 400 "no"', stream: true });
  const stream = await client.chat.completions.create({
    model: name,
    messages: ask("error after 3"),
    stream: true,
  });
  const broken = await (async () => { for await (const _ of stream); })().catch((error) => error);
  assert(broken instanceof OpenAI.APIError, "a stream that breaks off throws an error");
  assert.equal(broken.code, "provider_overloaded");
}

async function headers(model) {
  const body = { model, messages: ask("say 2 words"), user: "someone", shoe_size: 43 };
  const { data, response } = await client.chat.completions.create(body).withResponse();
  assert.equal(data.choices[0].message.content, numbered(2));
  assert.equal(response.headers.get("x-drover-ignored-parameters"), "shoe_size");
  const job = await client.get(`/jobs/${response.headers.get("x-drover-job-id")}`);
  assert.equal(job.status, "completed");
}

/// The SDK's own loop: the model calls, the function runs, the model goes on.
async function tools(model, stream) {
  const prompt = `until told say "${stream}:" then call weather {"city":"Bern"} or say "Warm."`;
  const ran = [];
  const run = ({ city }) => (ran.push(city), { degrees: 20 });
  const parameters = z.object({ city: z.string() });
  const tools = [zodFunction({ name: "weather", description: "The weather.", parameters, function: run })];
  const runner = client.chat.completions.runTools({ model, messages: ask(prompt), tools, stream });
  assert.equal(await runner.finalContent(), "Warm.");
  assert.deepEqual(ran, ["Bern"]);
  const id = runner.messages[1].tool_calls[0].id;
  const cached = { cache_control: { type: "ephemeral" } };
  const definition = { name: "weather", description: "The weather.", input_schema: schemaOf(parameters), strict: true };
  const call = { type: "tool_use", id, name: "weather", input: { city: "Bern" } };
  const result = { type: "tool_result", tool_use_id: id, content: [text('{"degrees":20}')], ...cached };
  const question = user(text(prompt));
  const rounds = [question, { role: "assistant", content: [text(`${stream}:`), call] }, user(result)];
  const round = { tools: [{ ...definition, ...cached }], tool_choice: { type: "auto" } };
  sent(prompt, { ...round, messages: [question] }, { ...round, messages: rounds });
}

const schemaOf = (shape) => zodResponseFormat(shape, "place").json_schema.schema;

async function shaped(model) {
  const prompt = 'say "{\\"city\\":\\"Bern\\",\\"days\\":[1,2]}"';
  const place = z.object({ city: z.string(), days: z.array(z.number()) });
  const response_format = zodResponseFormat(place, "place");
  const stream = client.chat.completions.stream({ model, messages: ask(prompt), response_format });
  const answer = await stream.finalChatCompletion();
  assert.deepEqual(answer.choices[0].message.parsed, { city: "Bern", days: [1, 2] });
  const output_config = { format: { type: "json_schema", schema: schemaOf(place) } };
  sent(prompt, { output_config, messages: [user(text(prompt))] });
  await refused(OpenAI.InternalServerError, "invalid_output", { prompt: 'say "{}"', response_format });
}

async function shown(model) {
  const prompt = 'think 2 words then say "A dot."';
  const image = { type: "image_url", image_url: { url: `data:image/png;base64,${dot}` } };
  const messages = [user(image, text(prompt))];
  const answer = await client.chat.completions.create({ model, messages, reasoning_effort: "low" });
  const { content, reasoning_content } = answer.choices[0].message;
  assert.deepEqual([content, reasoning_content], ["A dot.", "thought1 thought2"]);
  const source = { type: "base64", media_type: "image/png", data: dot };
  const thinking = { type: "enabled", budget_tokens: 4000 };
  sent(prompt, { thinking, messages: [user({ type: "image", source }, text(prompt))] });
}

async function sessions(model) {
  const create = (prompt, extra, options) =>
    client.chat.completions.create({ model, messages: ask(prompt), ...extra }, options);
  const said = (answer) => answer.choices[0].message.content;
  const first = await create('say "one"', { session_id: "new", system_prompt: "Be brief." });
  assert.equal(said(first), "one");
  const options = { headers: { "X-Drover-Session-Id": first.session_id } };
  const second = await create('say "two"', {}, options);
  assert.deepEqual([said(second), second.session_id], ["two", first.session_id]);
  for await (const chunk of await create('say "three"', { stream: true }, options)) {
    assert.equal(chunk.session_id, first.session_id);
  }
  const history = await client.get(`/sessions/${first.session_id}/history`);
  const answers = history.data.filter((message) => message.role === "assistant");
  assert.deepEqual(answers.map((message) => message.content), ["one", "two", "three"]);
  const deleted = await client.delete(`/sessions/${first.session_id}`);
  assert.equal(deleted.deleted, true);
  const gone = await create("say 1 words", {}, options).catch((error) => error);
  assert(gone instanceof OpenAI.NotFoundError && gone.code === "session_not_found", "it does not go on");
}

async function leavesEarly(model) {
  const { data: stream, response } = await client.chat.completions
    .create({ model, messages: ask("say 4000 words every 50ms"), stream: true })
    .withResponse();
  for await (const _ of stream) break;
  const until = Date.now() + 60_000;
  while ((await client.get(`/jobs/${response.headers.get("x-drover-job-id")}`)).status !== "cancelled") {
    assert(Date.now() < until, "the job goes on without its client");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const name = await models();
await whole(name);
await streamed(name);
await thinks(name);
await errors();
await headers(name);
await tools(sonnet, false);
await tools(sonnet, true);
await shaped(sonnet);
await shown(sonnet);
await sessions(name);
await leavesEarly(name);
