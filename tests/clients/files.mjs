// Uploaded files with the official OpenAI SDK for Node; any failed check ends it with an error.

import assert from "node:assert/strict";

import OpenAI, { toFile } from "openai";

const client = new OpenAI({ maxRetries: 0 });
const pixel = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==",
  "base64",
);

const image = await client.files.create({ file: await toFile(pixel, "a.png"), purpose: "vision" });
assert.deepEqual([image.bytes, image.filename, image.status], [pixel.length, "a.png", "processed"]);
assert.ok(!("expires_at" in image), "what is not there is left out");
const text = await client.files.create({
  file: await toFile(Buffer.from("# Hi"), "b.md"),
  purpose: "user_data",
  expires_after: { anchor: "created_at", seconds: 3600 },
});
assert.equal(text.expires_at, text.created_at + 3600);

const listed = [];
for await (const file of client.files.list({ limit: 1 })) listed.push(file.id);
assert.deepEqual(listed, [text.id, image.id]);
assert.deepEqual(await client.files.retrieve(image.id), image);
const content = await client.files.content(image.id);
assert.deepEqual(Buffer.from(await content.arrayBuffer()), pixel);

const answer = await client.chat.completions.create({
  model: "claude-sonnet-4-5",
  messages: [{
    role: "user",
    content: [
      { type: "file", file: { file_id: image.id } },
      { type: "text", text: "What is in the picture?" },
    ],
  }],
});
assert.equal(answer.choices[0].message.content, "You said: What is in the picture?");

assert.deepEqual(await client.files.delete(image.id), { id: image.id, object: "file", deleted: true });
await assert.rejects(client.files.retrieve(image.id), (error) => error instanceof OpenAI.NotFoundError);
