// Numbers, sizes and times, as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

// A number of things.
export function count(n) {
  if (n === null || n === undefined) return "–";
  if (n >= 1e9) return `${tenths.format(n / 1e9)} G`;
  if (n >= 1e7) return `${tenths.format(n / 1e6)} M`;
  return whole.format(n);
}

// Things a second.
export function rate(n) {
  if (n === null || n === undefined) return "–";
  return n > 0 && n < 9.95 ? tenths.format(n) : count(n);
}

export function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit += 1;
  }
  return `${unit === 0 || n >= 100 ? whole.format(n) : tenths.format(n)} ${units[unit]}`;
}

export function micros(us) {
  if (us === null || us === undefined) return "–";
  if (us < 1000) return `${us < 10 && us % 1 ? tenths.format(us) : whole.format(us)} µs`;
  if (us < 1e6) return `${us < 1e4 && us % 1000 ? tenths.format(us / 1e3) : whole.format(us / 1e3)} ms`;
  return `${tenths.format(us / 1e6)} s`;
}

export function percent(share) {
  return share > 0 && share < 0.0995 ? `${tenths.format(share * 100)} %` : `${whole.format(share * 100)} %`;
}

// A time span, in its two largest units.
export function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function ago(ms) {
  return ms ? `${span(Date.now() - ms)} ago` : "–";
}

// A version's first digits, as the commands show it.
export function version(id) {
  return id ? id.replace("sha256:", "").slice(0, 12) : "–";
}

// Text with its control characters written out: a key may be any bytes, and a name must not turn a line around.
export function visible(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g, (c) => {
    const known = { "\0": "\\0", "\t": "\\t", "\n": "\\n", "\r": "\\r" }[c];
    return known ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
