// LangChain for Node against a running Drover; any failed check ends it with an error.
//
// The provider behind Drover is scripted: the prompt says what it answers. Each line that is printed says of a prompt
// what has to have reached the provider.

import assert from "node:assert/strict";
import { HumanMessage, SystemMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { createAgent, tool } from "langchain";
import { z } from "zod";

const { OPENAI_BASE_URL: baseURL } = process.env;
const name = "claude-sonnet-4-5";
const dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const model = new ChatOpenAI({ model: name, maxRetries: 0, configuration: { baseURL } });

const text = (text) => ({ type: "text", text });
const user = (...content) => ({ role: "user", content });
const cached = { cache_control: { type: "ephemeral" } };
const numbered = (count) => Array.from({ length: count }, (_, n) => `word${n + 1}`).join(" ");
const sent = (prompt, ...bodies) => {
  const usual = { model: name, max_tokens: 32000, stream: true };
  console.log(JSON.stringify({ prompt, sent: bodies.map((body) => ({ ...usual, ...body })) }));
};

async function streamed() {
  const prompt = "say 20 words";
  const messages = [new SystemMessage("Be brief."), new HumanMessage(prompt)];
  const chunks = [];
  for await (const chunk of await model.stream(messages, { stop: ["END"] })) chunks.push(chunk);
  const pieces = chunks.map((chunk) => chunk.text).filter(Boolean);
  assert.deepEqual([pieces.join(""), pieces.length], [numbered(20), 20]);
  const usage = chunks.map((chunk) => chunk.usage_metadata).find((usage) => usage?.output_tokens);
  assert(usage.input_tokens > 1000 && usage.input_token_details.cache_read > 0, JSON.stringify(usage));
  const system = [{ ...text("Be brief."), ...cached }];
  sent(prompt, { system, stop_sequences: ["END"], messages: [user(text(prompt))] });
}

/// Its own loop: the model calls, the tools run, the model goes on.
async function tools() {
  const prompt = 'until told say "I look." then call weather {"city":"Zürich"} then call now {} or say "Warm."';
  const weather = tool(async ({ city }) => `20 degrees in ${city}`, {
    name: "weather",
    description: "The weather.",
    schema: z.object({ city: z.string() }),
  });
  const now = tool(async () => "noon", { name: "now", description: "The time.", schema: z.object({}) });
  const agent = createAgent({ model, tools: [weather, now] });
  const { messages } = await agent.invoke({ messages: [{ role: "user", content: prompt }] });
  assert.equal(messages.at(-1).text, "Warm.");
  const [one, other] = messages[1].tool_calls;
  assert.deepEqual([one.args, other.args], [{ city: "Zürich" }, {}]);
  const object = { $schema: "https://json-schema.org/draft/2020-12/schema", type: "object" };
  const closed = { additionalProperties: false };
  const city = { properties: { city: { type: "string" } }, required: ["city"] };
  const definitions = [
    { name: "weather", description: "The weather.", input_schema: { ...object, ...city, ...closed } },
    { name: "now", description: "The time.", input_schema: { ...object, properties: {}, ...closed }, ...cached },
  ];
  const calls = [
    text("I look."),
    { type: "tool_use", id: one.id, name: "weather", input: { city: "Zürich" } },
    { type: "tool_use", id: other.id, name: "now", input: {} },
  ];
  const results = user(
    { type: "tool_result", tool_use_id: one.id, content: [text("20 degrees in Zürich")] },
    { type: "tool_result", tool_use_id: other.id, content: [text("noon")], ...cached },
  );
  const question = user(text(prompt));
  const rounds = [[question], [question, { role: "assistant", content: calls }, results]];
  sent(prompt, ...rounds.map((messages) => ({ tools: definitions, messages })));
}

async function shaped() {
  const prompt = 'say "{\\"city\\":\\"Bern\\",\\"days\\":[1,2]}"';
  const place = z.object({ city: z.string(), days: z.array(z.number()) });
  const answer = await model.withStructuredOutput(place, { method: "jsonSchema", name: "place" }).invoke(prompt);
  assert.deepEqual(answer, { city: "Bern", days: [1, 2] });
  const title = "place";
  const number = { type: "number", title };
  const schema = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    properties: { city: { type: "string", title }, days: { type: "array", items: number, title } },
    required: ["city", "days"],
    additionalProperties: false,
    title,
  };
  sent(prompt, { output_config: { format: { type: "json_schema", schema } }, messages: [user(text(prompt))] });
}

async function shown() {
  const prompt = 'say "A dot."';
  const url = `data:image/png;base64,${dot}`;
  const content = [{ type: "image_url", image_url: { url } }, text(prompt)];
  assert.equal((await model.invoke([new HumanMessage({ content })])).text, "A dot.");
  const source = { type: "base64", media_type: "image/png", data: dot };
  sent(prompt, { messages: [user({ type: "image", source }, text(prompt))] });
}

async function errors() {
  for (const [prompt, status, code] of [
    ["status 429 retry-after 3", 429, "provider_rate_limited"],
    ['status 400 "no"', 400, "invalid_request"],
  ]) {
    const error = await model.invoke(prompt).then(() => assert.fail(code), (error) => error);
    assert.deepEqual([error.status, error.code], [status, code]);
  }
  const broken = async () => { for await (const _ of await model.stream("error after 3")); };
  const error = await broken().then(() => assert.fail("a stream that breaks off"), (error) => error);
  assert.equal(error.code, "provider_overloaded");
}

await streamed();
await tools();
await shaped();
await shown();
await errors();
