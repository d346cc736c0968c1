// What happened between two looks at a node: rates, and durations from histograms.

const RATE_WINDOW_S = 10;
const LATENCY_WINDOW_S = 60;
const LOOKS_MAX = 64; // a node's clock may stand still, or hardly go
const CHARTS_MIN_S = 60;

const COUNTERS = {
  puts: (node) => node.cache.puts,
  gets: (node) => node.cache.gets,
  found: (node) => node.cache.get_hits + node.cache.gets_away,
  spilledBytes: (node) => (node.cluster?.spill_bytes ?? 0) + (node.writeback?.bytes_written ?? 0),
  spilledPages: (node) => (node.cluster?.spill_pages ?? 0) + (node.writeback?.pages_written ?? 0),
  fetchedPages: (node) => (node.cluster?.pages_fetched ?? 0) + (node.writeback?.pages_read ?? 0),
};

const OPERATIONS = { put: ["put"], get: ["get", "get_local", "get_remote"] };

function mustBeNumber(name, value) {
  if (!Number.isFinite(value)) throw new TypeError(`${name} is no number`);
  return value;
}

// A histogram's buckets as [upper end, count up to it] pairs become {bounds, counts}.
function histogramsOf(node) {
  const found = {};
  for (const [name, sources] of Object.entries(OPERATIONS)) {
    for (const source of sources) {
      const given = node.latency?.[source];
      if (!Array.isArray(given?.bounds) || !Array.isArray(given.counts)) continue;
      [...given.bounds, ...given.counts].forEach((number) => mustBeNumber(source, number));
      const known = found[name];
      if (known === undefined) found[name] = { bounds: given.bounds, counts: [...given.counts] };
      else given.counts.forEach((number, at) => { known.counts[at] += number; });
    }
  }
  return found;
}

function quantile(part, bounds, counts) {
  const total = counts.reduce((sum, number) => sum + number, 0);
  if (total === 0) return null;
  let rank = part * total;
  for (let at = 0; at < bounds.length; at += 1) {
    if (counts[at] > 0 && rank <= counts[at]) {
      const from = at === 0 ? 0 : bounds[at - 1];
      return from + (bounds[at] - from) * rank / counts[at];
    }
    rank -= counts[at];
  }
  return bounds[bounds.length - 1];
}

// What adds up over nodes. Throws where a node's figures make no sense.
export function totalsOf(node) {
  const totals = {
    logical: node.bytes.logical, compressed: node.accounting?.compressed?.total ?? node.bytes.compressed_here,
    used: node.pool.used_bytes, limit: node.pool.limit_bytes, gets: node.cache.gets,
    found: node.cache.get_hits + node.cache.gets_away, away: node.cache.gets_away, foreign: node.pages.foreign,
  };
  for (const [name, value] of Object.entries(totals)) mustBeNumber(name, value);
  return totals;
}

// The samples of /history as rows for charts, and from when to when: where samples are rare there are older ones.
export function lately({ columns, samples, kept_s: kept }) {
  const all = samples.map((sample) => Object.fromEntries(columns.map((name, at) => [name, sample[at]])));
  if (all.length === 0) return { rows: [], from: 0, until: 0 };
  const until = all[all.length - 1].uptime_s;
  const from = Math.max(until - kept, Math.min(all[0].uptime_s, until - CHARTS_MIN_S));
  return { rows: all.filter((row) => row.uptime_s >= from), from, until };
}

export class Rates {
  constructor() { this.looks = new Map(); }

  // Note a node's figures; returns its rates a second (null until there are two looks) and durations. Throws where they
  // make no sense.
  note(node) {
    const key = `${node.name} ${node.cluster?.incarnation ?? node.started}`;
    const looks = this.looks.get(key) ?? [];
    const look = { at: node.uptime_s, numbers: {}, histograms: histogramsOf(node) };
    for (const [name, read] of Object.entries(COUNTERS)) look.numbers[name] = mustBeNumber(name, read(node));
    if (looks.length === 0 || look.at > looks[looks.length - 1].at) looks.push(look);
    while (looks.length > 2 && (looks[1].at <= look.at - LATENCY_WINDOW_S || looks.length > LOOKS_MAX)) looks.shift();
    this.looks.set(key, looks);
    const last = looks[looks.length - 1];
    const before = looks.find((other) => other.at >= last.at - RATE_WINDOW_S - 1);
    const passed = last.at - before.at;
    const rates = {};
    for (const name of Object.keys(COUNTERS)) {
      rates[name] = passed > 0 ? Math.max(0, last.numbers[name] - before.numbers[name]) / passed : null;
    }
    return { ...rates, durations: durations(looks[0], last) };
  }

  // Forget nodes that are not there any more.
  keep(nodes) {
    const present = new Set(nodes.map((node) => `${node.name} ${node.cluster?.incarnation ?? node.started}`));
    for (const key of this.looks.keys()) if (!present.has(key)) this.looks.delete(key);
  }
}

// Of the last minute, as far as it was seen; null where nothing happened in it, and without histograms.
function durations(first, last) {
  const found = {};
  for (const [name, { bounds, counts }] of Object.entries(last.histograms)) {
    const before = first.histograms[name]?.counts ?? [];
    const recent = counts.map((number, at) => Math.max(0, number - (before[at] ?? 0)));
    found[name] = { p50: quantile(0.5, bounds, recent), p99: quantile(0.99, bounds, recent) };
  }
  return Object.keys(found).length > 0 ? found : null;
}
