// How an agent process is prepared and spoken to while it is recorded.
import fs from 'node:fs';
import path from 'node:path';

const UUID = '00000000-0000-4000-8000-00000000000';

/** Lays out the slot of a case; the directory to start in. */
export function prepare(script, slot, golden) {
  const project = path.join(slot, 'project');
  const parking = path.join(slot, 'parking');
  for (const own of [project, parking]) fs.mkdirSync(own);
  fs.writeFileSync(path.join(project, 'CLAUDE.md'), 'Be brief.\n');
  for (const [at, answer] of script.answers.entries()) {
    for (const event of answer.events) {
      // The CLI takes what has the same identifier for one message.
      if (event.message) event.message.id = `msg_${script.from ? 'later' : 'golden'}_${at}`;
      if (event.delta?.partial_json) event.delta.partial_json = event.delta.partial_json.replace('PROJECT', project);
    }
  }
  if (script.from) {
    const entries = fs.readFileSync(path.join(golden, script.from), 'utf8').split('\n').filter(Boolean)
      .map((line) => JSON.parse(line)).filter((line) => line.type === 'transcript_mirror')
      .flatMap((line) => line.entries).filter((entry) => entry.uuid);
    script.session = entries[0].sessionId;
    fs.writeFileSync(path.join(slot, `${script.session}.jsonl`),
      entries.map((entry) => JSON.stringify(entry).replaceAll('/slot', slot) + '\n').join(''));
  }
  return script.start === 'spare' ? parking : project;
}

/** Sends the frames of a case and collects lines until its last turn is over. */
export function converse(child, script, slot, timeoutMs) {
  const lines = [];
  let turns = 0;
  const send = (frame) => child.stdin.write(JSON.stringify(frame) + '\n');
  const control = (request_id, request) => send({ type: 'control_request', request_id, request });
  const user = () => send({ type: 'user', uuid: `${UUID}${'abcdef'[turns]}`, client_composed: true, parent_tool_use_id: null,
    message: { role: 'user', content: [{ type: 'text', text: script.turns[turns++] }] } });
  return new Promise((resolve, reject) => {
    let pending = '';
    let errors = '';
    const timer = setTimeout(() => end('timed out'), timeoutMs);
    const end = (how) => { clearTimeout(timer); resolve({ lines, end: how }); };
    const heard = (said) => {
      if (said.type === 'control_response' && said.response.request_id === 'initialize') {
        if (script.start !== 'spare') user();
        else control('claim', { subtype: 'claim_session', cwd: path.join(slot, 'project'), permission_mode: 'bypassPermissions',
          append_system_prompt: 'Say please.' });
      }
      if (said.type === 'control_response' && said.response.request_id === 'claim') user();
      const call = said.type === 'assistant' && said.message.content.find((block) => block.id === script.interruptAt && block.id);
      // A moment later, so that the command runs.
      if (call) setTimeout(() => control('interrupt', { subtype: 'interrupt' }), 500);
      if (said.type === 'result') turns < script.turns.length ? user() : end('whole');
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
        heard(JSON.parse(line));
      }
    });
    control('initialize', { subtype: 'initialize' });
  });
}
