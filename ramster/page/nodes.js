// A card for each node of the cluster: how it is, what it holds, what flows.

import { bar, legend, sparkline } from "./draw.js";
import { byteRate, count, element, moment, plainReason, rate, say, share, size, span } from "./words.js";

const SPARKS_MAX = 60;

// What a node's state means to who looks: good, wait or bad.
export const MOODS = { __proto__: null,
  serving: "good", alive: "good", starting: "wait", draining: "wait", stopping: "wait", suspect: "wait",
  connecting: "wait", dead: "bad", refused: "bad", stopped: "bad",
};

export function pill(target, state) {
  target.className = `pill ${MOODS[state] ?? "wait"}`;
  say(target, state);
}

export function isTold(node) { return node.pages !== undefined; }

export function poolParts(node) {
  const { used_bytes: used } = node.pool;
  const { compressed_here: own, foreign } = node.bytes;
  const lost = Math.max(0, used - own - foreign);
  return [
    { label: "own pages", value: own, kind: "here", words: size(own) },
    { label: "for others", value: foreign, kind: "foreign", words: size(foreign) },
    { label: "fragmentation", value: lost, kind: "loss", words: size(lost) },
  ];
}

export function pageParts(node) {
  const away = node.mode === "zcache" ? "in the file" : node.writeback ? "away" : "at peers";
  const rows = [
    ["local", "here", "here"], ["same_filled", "same-filled", "same"], ["in_transit", "in transit", "transit"],
    ["away", away, "away"], ["foreign", "for others", "foreign"],
  ];
  return rows.map(([key, label, kind]) => ({ label, kind, value: node.pages[key], words: count(node.pages[key]) }));
}

function fact(label) {
  const value = element("dd");
  return { row: element("div", {}, element("dt", {}, label), value), value };
}

export class NodeCard {
  constructor() {
    this.name = element("h3");
    this.state = element("span", { class: "pill" });
    this.about = element("p", { class: "about" });
    this.reason = element("p", { class: "reason" });
    this.used = element("b");
    this.limit = element("span");
    this.spark = element("div", { class: "spark" });
    this.pool = element("div", { class: "bar", role: "img" });
    this.pages = element("div", { class: "bar thin", role: "img" });
    this.legend = element("ul", { class: "legend" });
    this.facts = {};
    const list = element("dl");
    for (const [key, label] of [["hits", "hit ratio"], ["memory", "resident"], ["puts", "puts"], ["gets", "gets"],
      ["spill", "spilling"], ["fetch", "fetched pages"], ["put", "put p50 / p99"], ["get", "get p50 / p99"]]) {
      this.facts[key] = fact(label);
      if (key === "put" || key === "get") this.facts[key].row.className = "wide";
      list.append(this.facts[key].row);
    }
    this.trouble = element("p", { class: "reason" });
    this.told = element("div", { class: "told" },
      element("div", { class: "use" }, element("p", {}, this.used, " ", this.limit), this.spark),
      this.pool, this.pages, this.legend, list, this.trouble);
    this.root = element("article", { class: "card node" },
      element("header", {}, this.name, this.state), this.about, this.reason, this.told);
    this.sparks = [];
  }

  show(node, rates, asked) {
    say(this.name, node.name ?? node.address);
    pill(this.state, node.state);
    const told = isTold(node);
    this.told.hidden = !told;
    this.root.dataset.mood = told ? MOODS[node.state] ?? "wait" : MOODS[node.state] === "good" ? "wait" : MOODS[node.state] ?? "wait";
    this.root.dataset.node = node.name ?? node.address;
    this.reason.hidden = told;
    if (!told) {
      say(this.about, !node.name ? "not known yet" : node.address ? `at ${node.address}` : "");
      say(this.reason, plainReason(node.reason) || "no word from it yet");
      this.reason.title = node.reason;
      return;
    }
    const here = asked ? "you are here, " : "";
    say(this.about, `${here}up ${span(node.uptime_s)}, ${node.mode}, ${node.version}, ${node.backend}`);
    this.figures(node);
    this.flows(node, rates);
  }

  figures(node) {
    const { used_bytes: used, limit_bytes: limit } = node.pool;
    say(this.used, size(used));
    say(this.limit, `of ${size(limit)}, ${share(used, limit)}`);
    const parts = poolParts(node);
    bar(this.pool, parts, limit,
      `Pool: ${size(used)} of ${size(limit)}: ${parts.map((part) => `${part.label} ${part.words}`).join(", ")}`);
    const pages = pageParts(node);
    bar(this.pages, pages, node.pages.own + node.pages.foreign,
      `Pages: ${pages.map((part) => `${part.words} ${part.label}`).join(", ")}`);
    const held = pages.filter((part) => part.value > 0);
    legend(this.legend, held.length > 0 ? held : [{ label: "no pages yet", kind: "none", words: "" }]);
    this.sparks.push(used);
    if (this.sparks.length > SPARKS_MAX) this.sparks.shift();
    sparkline(this.spark, this.sparks, limit);
    const { unreachable, lost, under_replicated: short } = node.pages;
    const words = [[lost, "lost"], [unreachable, "unreachable"], [short, "with too few copies"]];
    const trouble = words.filter(([number]) => number > 0).map(([number, what]) => `${count(number)} pages ${what}`);
    this.trouble.hidden = trouble.length === 0;
    say(this.trouble, trouble.join(", "));
  }

  flows(node, rates) {
    const { cache } = node;
    say(this.facts.hits.value, share(cache.get_hits + cache.gets_away, cache.gets));
    const resident = node.accounting?.resident?.total;
    say(this.facts.memory.value, resident === undefined ? "\u2013" : size(resident));
    say(this.facts.puts.value, rate(rates.puts));
    say(this.facts.gets.value, rate(rates.gets));
    say(this.facts.spill.value, byteRate(rates.spilledBytes));
    say(this.facts.fetch.value, rates.fetchedPages === null ? "\u2013" : rate(rates.fetchedPages));
    for (const name of ["put", "get"]) {
      const durations = rates.durations?.[name];
      this.facts[name].row.hidden = durations === undefined;
      if (!durations) continue;
      const quiet = durations.p50 === null; // in the last minute
      say(this.facts[name].value, quiet ? "\u2013" : `${moment(durations.p50)} / ${moment(durations.p99)}`);
    }
  }
}
