/**
 * The parts of D3 that pictures are computed with: scales, ticks and stacks, all pure functions.
 *
 * Chosen over a chart library in the page: the pictures are drawn here once, as SVG text, so that the page needs no script for them,
 * is the same for the same result, prints sharply and stays small. One file names the versions.
 */
// @ts-types="npm:@types/d3-array@3.2.2"
export { bisectRight } from "npm:d3-array@3.2.5";
// @ts-types="npm:@types/d3-scale@4.0.9"
export { scaleLinear, scaleUtc } from "npm:d3-scale@4.0.3";
// @ts-types="npm:@types/d3-shape@3.1.8"
export { stack } from "npm:d3-shape@3.2.1";
