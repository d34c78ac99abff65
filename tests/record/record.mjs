// Records what the real Claude CLI says, for `shared/src/cli/golden/`.
//
//   node tests/record/record.mjs --native <claude> --js <cli.js> [--case <name>] [--requests <file>] [--raw]
//
// Each case starts the CLI with an empty environment, a home of its own and a fake key against a scripted
// upstream on loopback (native: a Unix socket; JavaScript: a port of 127.0.0.1), sends `initialize` and one
// user frame, and writes the lines of its standard output, scrubbed of everything that differs from run to
// run, to `golden/<build>_<case>.jsonl`. `--requests` keeps the upstream's requests; `--raw` scrubs nothing
// and writes to standard output. Then regenerate what the decoder makes of the recordings with
//
//   DROVER_GOLDEN=write cargo test -p drover-shared cli::golden
//
// and read the difference before committing it.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { CASES } from './cases.mjs';
import { scrub } from './scrub.mjs';
import { serve } from './upstream.mjs';

const GOLDEN = path.join(import.meta.dirname, '../../shared/src/cli/golden');
const CASE_MS = 60_000;
const ARGUMENTS = ['-p', '--input-format', 'stream-json', '--output-format', 'stream-json', '--verbose',
  '--include-partial-messages', '--bare', '--tools', '', '--model', 'claude-sonnet-4-5', '--strict-mcp-config',
  '--setting-sources', '', '--disable-slash-commands', '--no-session-persistence', '--system-prompt', 'Relayed.'];

const { values: options } = parseArgs({ options: { native: { type: 'string' }, js: { type: 'string' },
  case: { type: 'string', multiple: true }, requests: { type: 'string' }, raw: { type: 'boolean' },
  args: { type: 'string' }, env: { type: 'string' } } });

const requests = {};
for (const build of ['native', 'js'].filter((name) => options[name])) {
  for (const [name, script] of Object.entries(CASES)) {
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
  const socket = path.join(slot, 'relay.sock');
  const upstream = await serve(script.answers, build === 'native' && !script.tcp ? socket : 0);
  const argv = options.args ? JSON.parse(options.args) : ARGUMENTS;
  const child = build === 'native'
    ? spawn(cli, argv, { env: environment(slot, upstream, socket), cwd: slot })
    : spawn(process.execPath, [cli, ...argv], { env: environment(slot, upstream), cwd: slot });
  try {
    return { slot, requests: upstream.requests, ...await converse(child, script, upstream) };
  } finally {
    child.kill('SIGKILL');
    upstream.close();
    fs.rmSync(slot, { recursive: true, force: true, maxRetries: 5 });
  }
}

function environment(slot, upstream, socket) {
  const base = upstream.port ? { ANTHROPIC_BASE_URL: `http://127.0.0.1:${upstream.port}` }
    : { ANTHROPIC_BASE_URL: 'http://relay.invalid', ANTHROPIC_UNIX_SOCKET: socket };
  return { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8', HOME: slot, TMPDIR: slot, CLAUDE_CODE_TMPDIR: slot,
    ...base, ANTHROPIC_API_KEY: 'slot-token', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_AUTOUPDATER: '1', DISABLE_TELEMETRY: '1', DISABLE_ERROR_REPORTING: '1', DO_NOT_TRACK: '1',
    CLAUDE_CODE_MAX_RETRIES: '0', CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK: '1',
    CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS: '1', CLAUDE_CODE_ATTRIBUTION_HEADER: '0',
    CLAUDE_CODE_DISABLE_REFUSAL_RETRY: '1', CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK: '1', DISABLE_COMPACT: '1',
    ...(options.env ? JSON.parse(options.env) : {}) };
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
