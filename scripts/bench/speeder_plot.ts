/** The speeder's goodput over loss as a picture: two panels, a logarithmic scale, SVG text. */
import { scaleLinear } from "../../core/cli/report/d3.ts";

/** One line of a panel. Units: `goodputBps` bits per second, by loss. */
export interface PlotLine {
  readonly label: string;
  readonly goodputBps: readonly number[];
}

/** One panel. */
export interface PlotPanel {
  readonly title: string;
  readonly lines: readonly PlotLine[];
}

const WIDTH = 420;
const HEIGHT = 260;
const LEFT = 62;
const RIGHT = 12;
const TOP = 30;
const BOTTOM = 40;
const COLORS = ["#6b7280", "#2563eb", "#d97706", "#059669"];
const DASHES = ["", "", "", "6 4"];
/** Lowest and highest goodput shown, as powers of ten. Units: bits per second. */
const POWER_MIN = 3;
const POWER_MAX = 8;
const UNITS = ["1 kbit/s", "10 kbit/s", "100 kbit/s", "1 Mbit/s", "10 Mbit/s", "100 Mbit/s"];

function panelOf(panel: PlotPanel, lossPercents: readonly number[], at: number): string {
  const x = scaleLinear().domain([0, lossPercents.at(-1)!]).range([LEFT, WIDTH - RIGHT]);
  const y = scaleLinear().domain([POWER_MIN, POWER_MAX]).range([HEIGHT - BOTTOM, TOP]);
  const heightOf = (goodput: number) => y(Math.max(POWER_MIN, Math.log10(Math.max(1, goodput)))).toFixed(1);
  const parts = [`<text x="${LEFT}" y="18" font-weight="bold">${panel.title}</text>`];
  UNITS.forEach((unit, i) => {
    const level = y(POWER_MIN + i);
    parts.push(`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${level}" y2="${level}" stroke="#e5e7eb"/>`);
    parts.push(`<text x="${LEFT - 6}" y="${level + 4}" text-anchor="end">${unit}</text>`);
  });
  for (const loss of lossPercents) {
    parts.push(`<text x="${x(loss)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${loss} %</text>`);
  }
  const middle = (LEFT + WIDTH - RIGHT) / 2;
  parts.push(`<text x="${middle}" y="${HEIGHT - 6}" text-anchor="middle">packets lost in each direction</text>`);
  panel.lines.forEach((line, i) => {
    const points = line.goodputBps.map((goodput, n) => `${x(lossPercents[n]!).toFixed(1)},${heightOf(goodput)}`);
    const style = `fill="none" stroke="${COLORS[i]}" stroke-width="2" stroke-dasharray="${DASHES[i]}"`;
    parts.push(`<polyline points="${points.join(" ")}" ${style}/>`);
    for (const point of points) {
      const [cx, cy] = point.split(",");
      parts.push(`<circle cx="${cx}" cy="${cy}" r="3" fill="${COLORS[i]}"/>`);
    }
  });
  return `<g transform="translate(${at} 0)">${parts.join("\n")}</g>`;
}

/** The whole picture. Units: losses in percent. */
export function speederPlot(panels: readonly PlotPanel[], lossPercents: readonly number[]): string {
  const width = WIDTH * panels.length;
  const legend = panels[0]!.lines.map(({ label }, i) => {
    const at = LEFT + i * 150;
    const line = `<line x1="${at}" x2="${at + 24}" y1="${HEIGHT + 14}" y2="${HEIGHT + 14}" stroke="${COLORS[i]}" ` +
      `stroke-width="2" stroke-dasharray="${DASHES[i]}"/>`;
    return `${line}<text x="${at + 30}" y="${HEIGHT + 18}">${label}</text>`;
  });
  const frame = `viewBox="0 0 ${width} ${HEIGHT + 30}" width="${width}" height="${HEIGHT + 30}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${frame} font-family="sans-serif" font-size="11" fill="#1f2937">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    ...panels.map((panel, i) => panelOf(panel, lossPercents, i * WIDTH)),
    ...legend,
    "</svg>\n",
  ].join("\n");
}
