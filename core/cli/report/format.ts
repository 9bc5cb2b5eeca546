/** Numbers as people read them: sizes, counts, durations, shares and points in time. Same text on every machine, no locale. */

const SIZE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** `1536` → `1.54 kB`: at most three digits, decimal units. Units: bytes. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes) || bytes < 0) return "?";
  let value = bytes;
  let unit = 0;
  // 999.5 would be written as 1000, so the next unit begins there.
  while (value >= 999.5 && unit < SIZE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  if (unit === 0) return `${Math.round(value)} B`;
  return `${threeDigits(value)} ${SIZE_UNITS[unit]}`;
}

function threeDigits(value: number): string {
  if (value >= 99.95) return value.toFixed(0);
  if (value >= 9.995) return value.toFixed(1);
  return value.toFixed(2);
}

/** `1234567` → `1,234,567`. */
export function formatCount(count: number): string {
  if (!Number.isFinite(count)) return "?";
  return String(Math.trunc(count)).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/** `1` and `flow` → `1 flow`; `1234` and `flow` → `1,234 flows`. */
export function countOf(count: number, noun: string, plural: string = `${noun}s`): string {
  return `${formatCount(count)} ${count === 1 ? noun : plural}`;
}

/** `1534` → `1.53 ms`, `95000000` → `1 min 35 s`. Units: µs. */
export function formatDurationUs(us: number): string {
  if (!Number.isFinite(us) || us < 0) return "?";
  if (us < 999.5) return `${Math.round(us)} µs`;
  if (us < 999_500) return `${threeDigits(us / 1000)} ms`;
  if (us < 59_950_000) return `${threeDigits(us / 1_000_000)} s`;
  const seconds = Math.round(us / 1_000_000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${formatCount(Math.floor(hours / 24))} d ${hours % 24} h`;
}

/** `part` of `whole` in percent: `37 %`, `0.4 %`, `<0.1 %`; `0 %` of nothing. */
export function formatShare(part: number, whole: number): string {
  if (!(whole > 0) || !(part > 0)) return "0 %";
  const percent = part / whole * 100;
  if (percent < 0.1) return "<0.1 %";
  // "100 %" is kept for all of it.
  if (percent >= 99.5 && part < whole) return percent >= 99.95 ? ">99.9 %" : `${percent.toFixed(1)} %`;
  return percent < 9.95 ? `${percent.toFixed(1)} %` : `${percent.toFixed(0)} %`;
}

/** Microseconds since 1970 of an RFC 3339 UTC time, NaN when it is none. Units: µs. Source: RFC 3339, section 5.6. */
export function parseTimeUs(text: string): number {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/.exec(text);
  if (match === null) return NaN;
  const fraction = Number((match[2] ?? "").padEnd(6, "0").slice(0, 6));
  return Date.parse(`${match[1]}Z`) * 1000 + fraction;
}

/** RFC 3339 in UTC with µs, as `ReplayFlow.start` has it; "" when out of range. Units: µs since 1970. */
export function formatTimeUs(us: number): string {
  const ms = Math.floor(us / 1000);
  if (!Number.isFinite(us) || Math.abs(ms) > 8.64e15) return "";
  const text = new Date(ms).toISOString();
  return `${text.slice(0, -1)}${String(us - ms * 1000).padStart(3, "0")}Z`;
}

/** How long after the beginning something happened: `+0.000`, `+59.120`, `+1:02:03.5`. Units: µs. */
export function formatOffsetUs(us: number): string {
  if (!Number.isFinite(us)) return "?";
  const sign = us < 0 ? "-" : "+";
  const ms = Math.round(Math.abs(us) / 1000);
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${sign}${seconds}.${String(ms % 1000).padStart(3, "0")}`;
  const two = (value: number) => String(value).padStart(2, "0");
  const tenths = Math.floor(ms % 1000 / 100);
  if (seconds < 3600) return `${sign}${Math.floor(seconds / 60)}:${two(seconds % 60)}.${tenths}`;
  if (seconds < 86_400) {
    return `${sign}${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  }
  return `${sign}${Math.floor(seconds / 86_400)}d${two(Math.floor(seconds / 3600) % 24)}h${
    two(Math.floor(seconds / 60) % 60)
  }`;
}
