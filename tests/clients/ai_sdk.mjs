// The AI SDK against a running Drover, by both of its OpenAI providers; any failed check ends it with an error.
//
// The provider behind Drover is scripted: the prompt says what it answers. Each line that is printed says of a prompt
// what has to have reached the provider.

import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { OPENAI_BASE_URL: baseURL, OPENAI_API_KEY: apiKey } = process.env;
const name = "claude-sonnet-4-5";
const compatible = createOpenAICompatible({
  name: "drover",
  baseURL,
  apiKey,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const models = { compatible: compatible(name), openai: createOpenAI({ baseURL, apiKey }).chat(name) };

const text = (text) => ({ type: "text", text });
const numbered = (count) => Array.from({ length: count }, (_, n) => `word${n + 1}`).join(" ");
const sent = (prompt, ...bodies) => {
  const usual = { model: name, max_tokens: 32000, stream: true };
  console.log(JSON.stringify({ prompt, sent: bodies.map((body) => ({ ...usual, ...body })) }));
};
const all = async (stream) => {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
};
const user = (...content) => ({ role: "user", content });

async function streamed(model, label) {
  const prompt = `think 2 words then say "${label}" then say 20 words`;
  const answer = streamText({ model, prompt, system: "Be brief.", temperature: 0.5, maxOutputTokens: 900 });
  const pieces = await all(answer.textStream);
  assert.deepEqual([pieces.join(""), pieces.length], [label + numbered(20), 21]);
  assert.equal(await answer.finishReason, "stop");
  const usage = await answer.usage;
  assert(usage.inputTokens > 1000 && usage.outputTokens > 20, JSON.stringify(usage));
  assert(usage.inputTokenDetails.cacheReadTokens > 0, JSON.stringify(usage));
  if (label === "compatible") assert.equal(await answer.reasoningText, "thought1 thought2");
  const system = [{ ...text("Be brief."), cache_control: { type: "ephemeral" } }];
  sent(prompt, { max_tokens: 900, temperature: 0.5, system, messages: [user(text(prompt))] });
}

/// Its own loop: the model calls, the tool runs, the model goes on.
async function tools(model, label, run) {
  const prompt = `until told say "I look." then call weather {"city":"${label}"} then call now {} or say "Warm."`;
  const ran = [];
  const weather = tool({
    description: "The weather.",
    inputSchema: z.object({ city: z.string() }),
    execute: async (input) => { ran.push(input); return { degrees: 20 }; },
  });
  const now = tool({ inputSchema: z.object({}), execute: async () => "noon" });
  const answer = await run({ model, prompt, tools: { weather, now }, stopWhen: stepCountIs(5) });
  assert.equal(await answer.text, "Warm.");
  assert.deepEqual(ran, [{ city: label }]);
  const [first, second] = await answer.steps;
  assert.deepEqual([first.finishReason, second.finishReason], ["tool-calls", "stop"]);
  const [one, other] = first.toolCalls;
  const object = { $schema: "http://json-schema.org/draft-07/schema#", type: "object" };
  const closed = { additionalProperties: false };
  const definitions = [
    {
      name: "weather",
      description: "The weather.",
      input_schema: { ...object, properties: { city: { type: "string" } }, required: ["city"], ...closed },
    },
    { name: "now", input_schema: { ...object, properties: {}, ...closed }, cache_control: { type: "ephemeral" } },
  ];
  const round = { tools: definitions, tool_choice: { type: "auto" } };
  const question = user(text(prompt));
  sent(prompt, { ...round, messages: [question] }, {
    ...round,
    messages: [
      question,
      {
        role: "assistant",
        content: [
          text("I look."),
          { type: "tool_use", id: one.toolCallId, name: "weather", input: { city: label } },
          { type: "tool_use", id: other.toolCallId, name: "now", input: {} },
        ],
      },
      user(
        { type: "tool_result", tool_use_id: one.toolCallId, content: [text('{"degrees":20}')] },
        {
          type: "tool_result",
          tool_use_id: other.toolCallId,
          content: [text("noon")],
          cache_control: { type: "ephemeral" },
        },
      ),
    ],
  });
}

async function shaped(model, label) {
  const prompt = `say ${JSON.stringify(JSON.stringify({ city: label, days: [1, 2] }))}`;
  const schema = z.object({ city: z.string(), days: z.array(z.number()) });
  const answer = await generateText({ model, prompt, output: Output.object({ schema, name: "place" }) });
  assert.deepEqual(answer.output, { city: label, days: [1, 2] });
  const wanted = {
    $schema: "http://json-schema.org/draft-07/schema#",
    type: "object",
    properties: { city: { type: "string" }, days: { type: "array", items: { type: "number" } } },
    required: ["city", "days"],
    additionalProperties: false,
  };
  const output_config = { format: { type: "json_schema", schema: wanted } };
  sent(prompt, { output_config, messages: [user(text(prompt))] });
}

async function shown(model, label) {
  const prompt = `say "A dot for ${label}."`;
  const data = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  const content = [
    { type: "file", data: Buffer.from(data, "base64"), mediaType: "image/png" },
    { type: "text", text: prompt },
  ];
  const answer = await generateText({ model, messages: [{ role: "user", content }] });
  assert.equal(answer.text, `A dot for ${label}.`);
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data } };
  sent(prompt, { messages: [user(image, text(prompt))] });
}

async function errors(model) {
  const failed = (options) => generateText({ model, maxRetries: 0, ...options }).then(
    () => assert.fail("an error was expected"),
    (error) => error,
  );
  const limited = await failed({ prompt: "status 429 retry-after 3" });
  assert(APICallError.isInstance(limited), limited);
  assert.deepEqual([limited.statusCode, limited.data.error.code], [429, "provider_rate_limited"]);
  assert.equal(limited.isRetryable, true);
  const refused = await failed({ prompt: "hi", temperature: 5 });
  assert.deepEqual([refused.statusCode, refused.data.error.param], [400, "temperature"]);
  const broken = streamText({ model, prompt: "error after 3", maxRetries: 0, onError: () => {} });
  const parts = await all(broken.fullStream);
  assert(parts.some((part) => part.type === "error"), JSON.stringify(parts));
}

for (const [label, model] of Object.entries(models)) {
  await streamed(model, label);
  await tools(model, `${label} whole`, generateText);
  await tools(model, `${label} streamed`, streamText);
  await shaped(model, label);
  await shown(model, label);
  await errors(model);
}
