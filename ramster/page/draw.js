// Bars, sparklines and charts, as SVG and plain elements.

import { element, say, span } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// A bar of parts [{label, value, kind}], as wide as the whole; its words are its label for who cannot see it.
export function bar(target, parts, whole, label) {
  const shown = parts.filter((part) => part.value > 0);
  while (target.children.length > shown.length) target.lastChild.remove();
  shown.forEach((part, at) => {
    const piece = target.children[at] ?? target.appendChild(element("span"));
    piece.className = `part ${part.kind}`;
    piece.style.width = `${whole > 0 ? Math.min(100, 100 * part.value / whole) : 0}%`;
    piece.title = `${part.label}: ${part.words}`;
  });
  if (target.getAttribute("aria-label") !== label) target.setAttribute("aria-label", label);
}

export function legend(target, parts) {
  while (target.children.length > parts.length) target.lastChild.remove();
  parts.forEach((part, at) => {
    let item = target.children[at];
    if (item === undefined) {
      item = target.appendChild(element("li", {}, element("i"), element("span"), element("b")));
    }
    item.children[0].className = part.kind;
    say(item.children[1], part.label);
    say(item.children[2], part.words);
  });
}

// A line of numbers without axes, for the corner of a card.
export function sparkline(target, values, top) {
  const width = 120, height = 28;
  const step = width / Math.max(1, values.length - 1);
  const points = values.map((value, at) => `${(at * step).toFixed(1)} ${y(value, top, height - 2) + 1}`);
  const line = points.length > 1 ? `M${points.join("L")}` : "";
  if (target.firstChild === null) {
    target.append(svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("path", { class: "area" }), svg("path", { class: "stroke", "vector-effect": "non-scaling-stroke" })));
  }
  const [area, stroke] = target.firstChild.children;
  area.setAttribute("d", line && `${line}L${width} ${height}L0 ${height}Z`);
  stroke.setAttribute("d", line);
}

function y(value, top, height) {
  return Number((height - height * (top > 0 ? Math.min(1, value / top) : 0)).toFixed(1));
}

// The next number of the kind 1, 2, 5 times a power of `base`'s grid that is at least `value`.
function roundUp(value, binary) {
  if (value <= 0) return 1;
  const unit = binary ? 1024 ** Math.floor(Math.log(value) / Math.log(1024)) : 1;
  const scaled = value / unit;
  const power = 10 ** Math.floor(Math.log10(scaled));
  for (const factor of [1, 2, 2.5, 5, 10]) if (scaled <= factor * power) return factor * power * unit;
  return value;
}

const HEIGHT = 120, WIDTH = 400;

// A chart of rows over time. `series`: [{key, label, kind, words?}]; `stacked`: areas on top of each other.
export class Chart {
  constructor(title, series, { words, stacked = false, binary = false, limit = null }) {
    Object.assign(this, { title, series, words, stacked, binary, limit });
    this.rows = [];
    this.at = null;
    this.legend = element("ul", { class: "legend" });
    this.when = element("small", { class: "when" });
    this.scale = element("span", { class: "scale", "aria-hidden": "true" });
    this.start = element("span");
    this.cursor = svg("line", { class: "cursor", y1: 0, y2: HEIGHT, visibility: "hidden" });
    this.grid = svg("path", { class: "grid", d: `M0 0.5H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT - 0.5}H${WIDTH}` });
    this.paths = series.map(({ kind }) => [
      svg("path", { class: `area ${kind}` }),
      svg("path", { class: `stroke ${kind}`, "vector-effect": "non-scaling-stroke" }),
    ]);
    this.ceiling = svg("path", { class: "ceiling", "vector-effect": "non-scaling-stroke" });
    this.drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
      this.grid, ...(stacked ? [...this.paths].reverse() : this.paths).flat(), this.ceiling, this.cursor);
    this.root = element("figure", { class: "card chart" },
      element("figcaption", {}, element("span", {}, title), this.when),
      element("div", { class: "plot" }, this.drawing, this.scale),
      element("p", { class: "axis", "aria-hidden": "true" }, this.start, element("span", {}, "now")),
      this.legend);
    this.drawing.addEventListener("pointermove", (event) => this.point(event));
    this.drawing.addEventListener("pointerleave", () => { this.at = null; this.tell(); });
  }

  show(rows, from, until) {
    Object.assign(this, { rows, from, until });
    const values = (row) => this.series.map(({ key }) => row[key]);
    const sums = rows.map((row) => this.stacked ? values(row).reduce((a, b) => a + b, 0) : Math.max(...values(row)));
    const ceiling = this.limit && rows.length > 0 ? rows[rows.length - 1][this.limit] : 0;
    const top = roundUp(Math.max(0, ...sums, ceiling), this.binary);
    const x = (row) => (WIDTH * (row.uptime_s - from) / (until - from)).toFixed(1);
    const below = rows.map(() => 0);
    this.series.forEach(({ key }, which) => {
      const bottom = rows.map((row, at) => `${x(row)} ${y(below[at], top, HEIGHT)}`);
      rows.forEach((row, at) => { below[at] = this.stacked ? below[at] + row[key] : row[key]; });
      const upper = rows.map((row, at) => `${x(row)} ${y(below[at], top, HEIGHT)}`);
      const line = upper.length > 1 ? `M${upper.join("L")}` : "";
      const floor = this.stacked ? bottom.reverse()
        : rows.length > 1 ? [`${x(rows[rows.length - 1])} ${HEIGHT}`, `${x(rows[0])} ${HEIGHT}`] : [];
      this.paths[which][0].setAttribute("d", line && `${line}L${floor.join("L")}Z`);
      this.paths[which][1].setAttribute("d", rows.some((row) => row[key] > 0) ? line : "");
      if (!this.stacked) below.fill(0);
    });
    const height = y(ceiling, top, HEIGHT);
    this.ceiling.setAttribute("d", ceiling > 0 ? `M0 ${height}H${WIDTH}` : "");
    say(this.scale, this.words(top));
    say(this.start, `${span(until - from)} ago`);
    this.tell();
  }

  point(event) {
    const box = this.drawing.getBoundingClientRect();
    const wanted = this.from + (this.until - this.from) * (event.clientX - box.left) / box.width;
    let best = null;
    for (const row of this.rows) {
      if (best === null || Math.abs(row.uptime_s - wanted) < Math.abs(best.uptime_s - wanted)) best = row;
    }
    this.at = best?.uptime_s ?? null;
    this.tell();
  }

  // The values under the pointer, or the last ones.
  tell() {
    const last = this.rows[this.rows.length - 1];
    if (last === undefined) return;
    const row = this.rows.find((other) => other.uptime_s === this.at) ?? last;
    const pointed = row !== last;
    say(this.when, pointed ? `${span(this.until - row.uptime_s)} ago` : "");
    this.cursor.setAttribute("visibility", pointed ? "visible" : "hidden");
    const place = (WIDTH * (row.uptime_s - this.from) / (this.until - this.from)).toFixed(1);
    this.cursor.setAttribute("x1", place);
    this.cursor.setAttribute("x2", place);
    const parts = this.series.map(({ key, label, kind }) => ({ label, kind, words: this.words(row[key]) }));
    if (this.limit) parts.push({ label: "limit", kind: "limit", words: this.words(row[this.limit]) });
    legend(this.legend, parts);
    const peaks = this.series.map(({ key, label }) =>
      `${label}: now ${this.words(last[key])}, at most ${this.words(Math.max(...this.rows.map((other) => other[key])))}`);
    this.drawing.setAttribute("aria-label", `${this.title}, last ${span(this.until - this.from)}. ${peaks.join(". ")}`);
  }
}
