// The status page of a node: looks at /cluster and /history every two seconds while it is seen.

import { bar, Chart, legend } from "./draw.js";
import { isTold, MOODS, NodeCard, pill } from "./nodes.js";
import { lately, Rates, totalsOf } from "./rates.js";
import { byteRate, count, element, moment, plainReason, plural, rate, say, share, size, span } from "./words.js";

const PAUSE_MS = 2000;
const PATIENCE_MS = 5000;

const rates = new Rates();
const cards = new Map();
const tiles = new Map();
let asked = null;
let answeredAt = null;
let timer = null;
let looking = false;

const charts = [
  new Chart("Pool in use", [{ key: "pool_used_bytes", label: "frames", kind: "here" }],
    { words: size, binary: true, limit: "pool_limit_bytes" }),
  new Chart("Pages by state", [
    { key: "local_pages", label: "here", kind: "here" }, { key: "same_filled_pages", label: "same-filled", kind: "same" },
    { key: "in_transit_pages", label: "in transit", kind: "transit" }, { key: "away_pages", label: "away", kind: "away" },
    { key: "foreign_pages", label: "for others", kind: "foreign" }], { words: count, stacked: true }),
  new Chart("Puts and gets", [
    { key: "gets_per_s", label: "gets", kind: "away" }, { key: "puts_per_s", label: "puts", kind: "here" }], { words: rate }),
  new Chart("Pages out and back", [
    { key: "spilled_pages_per_s", label: "spilled", kind: "transit" },
    { key: "fetched_pages_per_s", label: "fetched", kind: "away" },
    { key: "adopted_pages_per_s", label: "taken for others", kind: "foreign" }], { words: rate }),
];
document.getElementById("charts").append(...charts.map((chart) => chart.root));

// No answer came: the browser's own words for that say nothing more.
class Silence extends Error {}

async function ask(path) {
  let answer, text;
  try {
    answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    text = await answer.text();
  } catch {
    throw new Silence();
  }
  if (!answer.ok) throw new Error(text.trim() || `${answer.status}`);
  return JSON.parse(text);
}

async function look() {
  if (looking) return;
  looking = true;
  try {
    await lookOnce();
  } finally {
    looking = false;
  }
}

async function lookOnce() {
  let answers;
  try {
    answers = await Promise.all([ask("/cluster"), ask("/history")]);
  } catch (error) {
    complain(error);
    return;
  }
  try {
    show(...answers);
    answeredAt = Date.now();
  } catch (error) {
    confess(error);
  }
}

async function run() {
  timer = null;
  await look();
  if (!document.hidden && timer === null) timer = setTimeout(run, PAUSE_MS);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
    timer = null;
  } else if (timer === null) {
    run();
  }
});

// -- when the node does not answer, or the page fails -----------------------------------------------------

function complain(error) {
  const who = asked === null ? "The node" : `Node ${asked}`;
  const reason = error instanceof Silence ? "" : ` (${error.message})`;
  const since = answeredAt === null ? "does not answer" : `has not answered since ${clock(answeredAt)}`;
  const old = answeredAt === null ? "" : " What is below is from then.";
  sound(`${who} ${since}${reason}.${old}`, "not answering");
}

// An answer came that this page fails to show.
function confess(error) {
  const who = asked === null ? "The node" : `Node ${asked}`;
  sound(`${who} answers, and this page fails to show it (${error.message}). What is below may be old.`, "not shown");
}

function sound(words, state) {
  const alarm = document.getElementById("alarm");
  alarm.hidden = false;
  say(alarm, words);
  document.body.dataset.stale = "yes";
  live(state, "bad");
}

function clock(time) {
  return new Date(time).toLocaleTimeString([], { hour12: false });
}

function live(words, mood) {
  const place = document.getElementById("live");
  place.className = `live ${mood}`;
  say(place, words);
}

// -- when it does ----------------------------------------------------------------------------------------

function show(cluster, history) {
  const own = cluster.nodes[0];
  asked = cluster.asked;
  document.title = `${own.name} \u00b7 RAMster`;
  say("asked", `Node ${own.name}`);
  say("about", `RAMster ${own.version}, ${own.mode}, up ${span(own.uptime_s)}`);
  const flows = new Map();
  const nodes = cluster.nodes.map((node) => isTold(node) ? noted(node, flows) : node);
  const told = nodes.filter(isTold);
  rates.keep(told);
  const silent = nodes.length - told.length;
  const bad = nodes.filter((node) => MOODS[node.state] === "bad").length;
  live(bad > 0 ? `${plural(bad, "node", "nodes")} in trouble` : silent > 0 ? `${plural(silent, "node", "nodes")} silent`
    : own.state === "serving" ? "live" : own.state, bad > 0 ? "bad" : silent > 0 || own.state !== "serving" ? "wait" : "good");
  showTiles(told.map((node) => flows.get(node)));
  showNodes(nodes, flows);
  showHistory(own, history);
  showAccount(own);
  showPeers(own);
  document.getElementById("alarm").hidden = true;
  delete document.body.dataset.stale;
}

// The node, and in `flows` what it comes to; one whose figures make no sense is shown as silent and spoils no other.
function noted(node, flows) {
  try {
    flows.set(node, { ...rates.note(node), totals: totalsOf(node) });
    return node;
  } catch {
    return senseless(node);
  }
}

function senseless({ name, state }) {
  const plain = (value) => typeof value === "string" ? value : "?";
  return { name: plain(name), state: plain(state), reason: "its figures make no sense" };
}

function tile(key, label, value, words, meter = null) {
  let made = tiles.get(key);
  if (made === undefined) {
    made = { value: element("b"), words: element("span"), meter: element("div", { class: "bar thin", role: "img" }) };
    made.meter.hidden = true;
    tiles.set(key, made);
    document.getElementById("tiles").append(
      element("div", { class: "card tile" }, element("h2", {}, label), made.value, made.words, made.meter));
  }
  say(made.value, value);
  say(made.words, words);
  made.meter.hidden = meter === null;
  if (meter !== null) bar(made.meter, [{ label, value: meter[0], kind: "here", words: value }], meter[1], `${label}: ${value} ${words}`);
}

function showTiles(flows) {
  const sum = (name) => flows.reduce((total, flow) => total + flow.totals[name], 0);
  const logical = sum("logical"), compressed = sum("compressed");
  const ratio = compressed > 0 ? `${size(compressed)} compressed, ${(logical / compressed).toFixed(1)} : 1` : "nothing held yet";
  tile("held", "Pages held", size(logical), ratio);
  const used = sum("used"), limit = sum("limit");
  tile("pool", "Pool", share(used, limit), `${size(used)} of ${size(limit)}`, [used, limit]);
  const gets = sum("gets");
  tile("hits", "Found", share(sum("found"), gets), gets > 0 ? `${count(gets)} gets, ${share(sum("away"), gets)} from away` : "no gets yet");
  const spilling = flows.map((flow) => flow.spilledBytes).filter((bytes) => bytes !== null);
  const spilled = spilling.length > 0 ? spilling.reduce((total, bytes) => total + bytes, 0) : null;
  tile("flow", "On the move", byteRate(spilled), `spilling; ${count(sum("foreign"))} pages held for others`);
}

function showNodes(nodes, flows) {
  const place = document.getElementById("nodes");
  const present = new Set();
  nodes.forEach((node, at) => {
    // Names are unique unless a node came back elsewhere while its old address is still known.
    const name = node.name ?? node.address;
    const key = present.has(name) ? `${name} ${node.address ?? node.cluster?.incarnation}` : name;
    present.add(key);
    if (!cards.has(key)) cards.set(key, new NodeCard());
    const card = cards.get(key);
    try {
      card.show(node, flows.get(node), at === 0);
    } catch {
      card.show(senseless(node), undefined, at === 0);
    }
    if (place.children[at] !== card.root) place.insertBefore(card.root, place.children[at] ?? null);
  });
  for (const [key, card] of cards) {
    if (!present.has(key)) { card.root.remove(); cards.delete(key); }
  }
  say("nodes-count", plural(nodes.length, "node", "nodes"));
}

function showHistory(own, history) {
  const { rows, from, until } = lately(history);
  if (rows.length === 0) return;
  for (const chart of charts) chart.show(rows, from, until);
  const late = Math.max(...rows.map((row) => row.late_s));
  say("minutes-of", `of ${own.name}; longest standstill ${moment(late)}`);
}

function showAccount(own) {
  const account = own.accounting;
  say("account-of", `of ${own.name}`);
  say("account-line", account?.line ?? "");
  if (account === undefined) return;
  const { logical, compressed, frames, resident } = account;
  const taken = compressed.own_here + compressed.at_peers + compressed.on_disk;
  const saved = Math.max(0, logical.total - taken);
  const pages = [
    ["compressed here", compressed.own_here, "here"], ["copies at peers", compressed.at_peers, "away"],
    ["on disk", compressed.on_disk, "disk"], ["saved", saved, "saved"],
  ].map(part);
  bar(document.getElementById("pages-bar"), pages, Math.max(logical.total, taken), `${size(logical.total)} of pages: ${words(pages)}`);
  legend(document.getElementById("pages-legend"), pages);
  if (resident === null) return;
  const unused = frames.used - compressed.own_here - compressed.foreign;
  const memory = [
    ["own pages", compressed.own_here, "here"], ["for others", compressed.foreign, "foreign"],
    ["fragmentation", unused, "loss"], ["frames kept", resident.frames_kept, "same"], ["index", resident.index, "transit"],
    ["process", resident.process, "process"], ["other", resident.other, "disk"],
  ].map(part);
  bar(document.getElementById("memory-bar"), memory, resident.total, `${size(resident.total)} resident: ${words(memory)}`);
  legend(document.getElementById("memory-legend"), memory);
}

function part([label, value, kind]) {
  return { label, value, kind, words: size(value) };
}

function words(parts) {
  return parts.map((piece) => `${piece.label} ${piece.words}`).join(", ");
}

function showPeers(own) {
  const section = document.getElementById("peers-section");
  section.hidden = own.peers.length === 0 && own.owners.length === 0;
  say("peers-of", `of ${own.name}, by its own account`);
  const body = document.querySelector("#peers tbody");
  const rows = [
    ...own.peers.map((peer) => ({
      name: peer.node ?? "?", address: peer.address,
      state: peer.draining && peer.state === "alive" ? "draining" : peer.state, reason: peer.state === "alive" ? "" : peer.reason,
      room: size(peer.room_bytes), pages: count(peer.pages_away), trip: moment(peer.rtt_s), heard: `${span(peer.heard_s)} ago`,
    })),
    ...own.owners.map((owner) => ({
      name: owner.owner, address: "borrows from us", state: "", reason: "", room: "", pages: `${count(owner.pages)} here`, trip: "",
      heard: `${span(owner.heard_s)} ago`,
    })),
  ];
  while (body.children.length > rows.length) body.lastChild.remove();
  rows.forEach((row, at) => {
    if (body.children[at] === undefined) {
      const labels = ["Address", "State", "Room", "Our pages there", "Round trip", "Heard"];
      body.append(element("tr", {}, element("th", { scope: "row" }),
        ...labels.map((label, column) => element("td", { "data-label": label, class: column > 1 ? "number" : null }))));
      body.children[at].children[2].append(element("span", { class: "pill" }), element("small"));
    }
    const [name, address, state, room, pages, trip, heard] = body.children[at].children;
    say(name, row.name);
    say(address, row.address);
    state.firstChild.hidden = row.state === "";
    pill(state.firstChild, row.state);
    say(state.lastChild, plainReason(row.reason));
    state.lastChild.title = row.reason;
    say(room, row.room);
    say(pages, row.pages);
    say(trip, row.trip);
    say(heard, row.heard);
  });
}

run();
