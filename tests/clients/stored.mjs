// Stored completions with the official OpenAI SDK for Node; any failed check ends it with an error.

import assert from "node:assert/strict";

import OpenAI from "openai";

const completions = new OpenAI({ maxRetries: 0 }).chat.completions;
const model = "claude-sonnet-4-5";

const create = (n, metadata) =>
  completions.create({ model, messages: [{ role: "user", content: `say ${n} words` }], store: true, metadata });

const all = async (page) => {
  const items = [];
  for await (const item of page) items.push(item);
  return items;
};

const red = [await create(1, { colour: "red" }), await create(2, { colour: "red" }), await create(3, { colour: "red" })];
const blue = await create(4, { colour: "blue", "it's": "déjà" });

const ids = (items) => items.map((item) => item.id);
assert.deepEqual(ids(await all(completions.list({ limit: 2, metadata: { colour: "red" } }))), ids(red));
assert.deepEqual(ids(await all(completions.list({ metadata: { "it's": "déjà" } }))), [blue.id]);
assert.deepEqual(ids(await all(completions.list({ limit: 1, order: "desc" }))), ids([...red, blue]).reverse());

const { metadata, ...again } = await completions.retrieve(blue.id);
assert.deepEqual(again, blue);
assert.deepEqual(metadata, { colour: "blue", "it's": "déjà" });
const messages = await all(completions.messages.list(blue.id));
assert.deepEqual(messages.map(({ role, content }) => [role, content]), [["user", "say 4 words"]]);

const updated = await completions.update(blue.id, { metadata: { colour: "red" } });
assert.deepEqual(updated.metadata, { colour: "red" });
assert.equal((await all(completions.list({ metadata: { colour: "red" } }))).length, 4);

const gone = await completions.delete(blue.id);
assert.deepEqual(gone, { id: blue.id, object: "chat.completion.deleted", deleted: true });
await assert.rejects(completions.retrieve(blue.id), (error) => {
  assert.ok(error instanceof OpenAI.NotFoundError, String(error));
  assert.equal(error.code, "completion_not_found");
  return true;
});
assert.deepEqual(ids(await all(completions.list())), ids(red));
