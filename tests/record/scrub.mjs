// Takes out of a recording what differs from run to run or from machine to machine, and long lists that
// nothing reads. The order of fields stays as the CLI wrote it.
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const KERNEL = /Linux \d[\w.+-]*/g;
const SOCKET = /cc-socks\/\d+\.sock/g;
// A subagent's identifier.
const AGENT = /\ba[0-9a-f]{16}\b/g;
const LISTS = ['tools', 'mcp_servers', 'slash_commands', 'agents', 'skills', 'plugins', 'commands', 'models',
  'capabilities', 'available_output_styles', 'account', 'modelUsage'];
const TIMES = /^(ttft|duration|time_to|parked|uptime)\w*$|_ms$|^(timestamp|pid|total_cost_usd)$/;

/** The recording as it is kept. `slot` is the run's own directory. */
export function scrub(lines, slot) {
  const known = new Map();
  const fixed = (uuid) => {
    if (!known.has(uuid)) known.set(uuid, `00000000-0000-4000-8000-${String(known.size + 1).padStart(12, '0')}`);
    return known.get(uuid);
  };
  const slug = slot.replace(/[^a-zA-Z0-9]/g, '-');
  const named = (line) => line.replaceAll(slot, '/slot').replaceAll(slug, '-slot').replace(UUID, fixed)
    .replace(KERNEL, 'Linux 6').replace(SOCKET, 'cc-socks/1.sock').replace(AGENT, 'a1');
  return lines.map((line) => JSON.stringify(JSON.parse(named(line)), plain) + '\n').join('');
}

function plain(key, value) {
  if (LISTS.includes(key)) return Array.isArray(value) ? [] : {};
  if (TIMES.test(key)) return typeof value === 'number' ? 0 : '';
  return value;
}
