// Records what the real Claude CLI says, for `shared/src/cli/golden/`.
//
//   node tests/record/record.mjs --native <claude> --js <cli.js> [--case <name>] [--requests <file>] [--raw]
//     [--env '{"NAME":"value"}']
//
// Each case of the chat class starts the CLI with an empty environment, a home of its own and a fake key against a scripted
// upstream on loopback (native: a Unix socket; JavaScript: a port of 127.0.0.1), sends `initialize` and one
// user frame, and writes the lines of its standard output, scrubbed of everything that differs from run to
// run, to `golden/<build>_<case>.jsonl`. `--requests` keeps the upstream's requests; `--raw` scrubs nothing
// and writes to standard output; `--env` adds to the environment, to try something. Then regenerate what the decoder makes of the recordings with
//
// Cases of the agent class (`agent.mjs`) have a project, real tools and several turns.
//
//   DROVER_GOLDEN=write cargo test -p drover-shared cli::golden
//
// and read the difference before committing it.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { AGENT_CASES, CASES } from './cases.mjs';
import { converse as converseAsAgent, prepare } from './agent.mjs';
import { scrub } from './scrub.mjs';
import { serve } from './upstream.mjs';

const GOLDEN = path.join(import.meta.dirname, '../../shared/src/cli/golden');
const CASE_MS = 60_000;
// The command line and environment that workers use; written by a test of `cli::invocation`.
const INVOCATION = JSON.parse(fs.readFileSync(path.join(import.meta.dirname, 'invocation.json'), 'utf8'));

const { values: options } = parseArgs({ options: { native: { type: 'string' }, js: { type: 'string' },
  case: { type: 'string', multiple: true }, requests: { type: 'string' }, raw: { type: 'boolean' },
  env: { type: 'string' } } });

const requests = {};
for (const build of ['native', 'js'].filter((name) => options[name])) {
  for (const [name, script] of Object.entries({ ...CASES, ...AGENT_CASES })) {
    if (script.builds && !script.builds.includes(build)) continue;
    if (options.case && !options.case.includes(name)) continue;
    const run = await record(build, options[build], script);
    requests[`${build}_${name}`] = run.requests;
    if (options.raw) process.stdout.write(run.lines.join('\n') + '\n');
    else fs.writeFileSync(path.join(GOLDEN, `${build}_${name}.jsonl`), scrub(run.lines, run.slot));
    process.stderr.write(`${build}_${name}: ${run.lines.length} lines, ${run.requests.length} requests, ${run.end}\n`);
  }
}
if (options.requests) fs.writeFileSync(options.requests, JSON.stringify(requests, null, 1));

/** One run of the CLI. */
async function record(build, cli, script) {
  const slot = fs.mkdtempSync(path.join(os.tmpdir(), 'drover-record-'));
  for (const own of ['home', 'tmp']) fs.mkdirSync(path.join(slot, own));
  const socket = path.join(slot, 'relay.sock');
  const upstream = await serve(script.answers, build === 'native' && !script.tcp ? socket : 0);
  const kind = upstream.port ? 'js' : 'native';
  const agent = script.start !== undefined;
  const env = environment(INVOCATION[kind][agent ? 'agent' : 'chat'].environment, slot, upstream.port);
  const given = agent ? INVOCATION[build].agent[script.start] : INVOCATION[build].chat.arguments;
  if (agent && script.tools) given[given.indexOf('--tools') + 1] = script.tools;
  const cwd = agent ? prepare(script, slot, GOLDEN) : slot;
  const resumed = given.map((argument) => argument.replace('/slot/session', `${slot}/${script.session}`));
  const [program, ...argv] = build === 'native' ? [cli, ...resumed] : [process.execPath, cli, ...resumed];
  const child = spawn(program, argv, { env, cwd });
  try {
    const said = agent ? converseAsAgent(child, script, slot, CASE_MS) : converse(child, script, upstream);
    return { slot, requests: upstream.requests, ...await said };
  } finally {
    child.kill('SIGKILL');
    upstream.close();
    fs.rmSync(slot, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The environment as it is written, with this run's directory and port in the place of the written ones. */
function environment(written, slot, port) {
  const pairs = written.map(([name, value]) =>
    [name, value.replaceAll('/slot', slot).replace('127.0.0.1:9', `127.0.0.1:${port}`)]);
  return { ...Object.fromEntries(pairs), ...(options.env ? JSON.parse(options.env) : {}) };
}

/** Sends the frames of a case and collects lines until it is over. */
function converse(child, script, upstream) {
  const lines = [];
  const send = (frame) => child.stdin.write(JSON.stringify(frame) + '\n');
  return new Promise((resolve, reject) => {
    let pending = '';
    let interrupted = false;
    let errors = '';
    const timer = setTimeout(() => end('timed out'), CASE_MS);
    const held = setInterval(() => {
      if (script.interruptAt === 'held' && upstream.requests.some((request) => request.held)) interrupt();
    }, 10);
    const end = (how) => { clearTimeout(timer); clearInterval(held); resolve({ lines, end: how }); };
    const interrupt = () => {
      if (interrupted) return;
      interrupted = true;
      send({ type: 'control_request', request_id: 'interrupt', request: { subtype: 'interrupt' } });
    };
    child.on('error', reject);
    child.stderr.on('data', (data) => { errors += data; });
    child.on('exit', (code) => end(`exited ${code} ${errors}`));
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (data) => {
      const split = (pending + data).split('\n');
      pending = split.pop();
      for (const line of split) {
        lines.push(line);
        const said = JSON.parse(line);
        if (said.type === 'control_response' && said.response.request_id === 'initialize') send(user());
        if (script.interruptAt && said.event?.type === script.interruptAt) interrupt();
        if ((said.event?.type ?? said.type) === script.until) { end('whole'); return; }
      }
    });
    send({ type: 'control_request', request_id: 'initialize', request: { subtype: 'initialize' } });
  });
}

function user() {
  return { type: 'user', uuid: '00000000-0000-4000-8000-00000000000a', client_composed: true, parent_tool_use_id: null,
    message: { role: 'user', content: [{ type: 'text', text: 'Placeholder.' }] } };
}
