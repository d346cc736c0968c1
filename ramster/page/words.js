// Numbers as people read them, and elements that hold them. Text is only ever set as text.

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function size(bytes) {
  let value = Math.abs(bytes), unit = 0;
  while (value >= 1024 && unit < SIZES.length - 1) { value /= 1024; unit += 1; }
  const sign = bytes < 0 ? "\u2212" : "";
  return `${sign}${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)}\u00a0${SIZES[unit]}`;
}

export function count(value) {
  if (value < 100000) return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
  for (const [limit, suffix] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= limit) return `${(value / limit).toFixed(value / limit < 100 ? 1 : 0)} ${suffix}`;
  }
  return String(value);
}

export function rate(value) {
  if (!Number.isFinite(value)) return "\u2013";
  return value > 0 && value < 10 ? `${value.toFixed(1)}/s` : `${count(value)}/s`;
}

export function byteRate(value) {
  return Number.isFinite(value) ? `${size(value)}/s` : "\u2013";
}

export function share(part, whole) {
  if (!whole) return "\u2013";
  const percent = 100 * part / whole;
  if (percent > 99.9 && part < whole) return "> 99.9 %";
  return `${percent.toFixed(percent >= 10 || percent === 0 ? 0 : 1)}\u00a0%`;
}

export function span(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds) % 60} s`.replace(" 0 s", "");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds / 3600) % 24} h`;
}

export function moment(seconds) {
  if (!Number.isFinite(seconds)) return "\u2013";
  if (seconds < 0.001) return `${(seconds * 1e6).toFixed(0)} \u00b5s`;
  if (seconds < 1) return `${(seconds * 1e3).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  return `${seconds.toFixed(1)} s`;
}

// gRPC's words for a connection that failed are long; what matters is at their end.
export function plainReason(text) {
  const found = /Failed to connect to remote host: (?:connect: )?(.+?) \(\d+\)/.exec(text);
  return found === null ? text : `cannot connect: ${found[1].toLowerCase()}`;
}

export function plural(number, one, many) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null).map((child) => child instanceof Node ? child : String(child)));
  return made;
}

// Sets text only where it changed, so that a reader's selection and screen readers are left alone.
export function say(target, text) {
  const place = typeof target === "string" ? document.getElementById(target) : target;
  if (place.textContent !== text) place.textContent = text;
}
