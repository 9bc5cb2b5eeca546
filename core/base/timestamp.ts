/** Points of civil time in text, from numbers alone. */

const DAY_US = 86_400_000_000;

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, "0");
}

/**
 * Writes RFC 3339 in UTC with six decimals. Units: µs since the Unix epoch in; any finite number will do.
 * Source: RFC 3339 section 5.6; proleptic Gregorian calendar, days counted in 400-year eras that begin on a 1 March.
 */
export function formatTimestamp(timestampUs: number): string {
  const days = Math.floor(timestampUs / DAY_US);
  const rest = timestampUs - days * DAY_US;
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const seconds = Math.floor(rest / 1_000_000);
  const time = `${pad(Math.floor(seconds / 3600), 2)}:${pad(Math.floor(seconds / 60) % 60, 2)}:${pad(seconds % 60, 2)}`;
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}T${time}.${pad(Math.floor(rest % 1_000_000), 6)}Z`;
}
