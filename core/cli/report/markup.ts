/**
 * HTML that cannot forget to escape: a tagged template in which every value is text, unless it is itself `Markup`.
 *
 * Source: HTML Living Standard, section 13.1.2.3 (attribute values in double quotes) and 13.1.3 (text).
 */
import { visibleUpTo } from "./visible.ts";

/** A piece of HTML that is already safe. Only `markup` and `trusted` make one. */
export class Markup {
  readonly html: string;

  constructor(html: string) {
    this.html = html;
  }
}

/** What may stand in a template: text and numbers are escaped, `Markup` is kept, lists are joined, `undefined` is nothing. */
export type Content = Markup | string | number | undefined | readonly Content[];

/** A text may be made of several fields, each of them already cut. Units: UTF-16 code units. */
const TEXT_UNITS_MAX = 65_536;

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text for HTML, inside an element or a quoted attribute. Unseen characters are written out first, see `visible()`. */
export function escapeHtml(text: string): string {
  return visibleUpTo(text, TEXT_UNITS_MAX).replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

function write(content: Content): string {
  if (content === undefined) return "";
  if (content instanceof Markup) return content.html;
  if (typeof content === "object") return content.map(write).join("");
  return escapeHtml(String(content));
}

/** The template tag: `` markup`<td>${text}</td>` ``. Values may stand in elements and in attributes with double quotes, nowhere else. */
export function markup(parts: TemplateStringsArray, ...values: readonly Content[]): Markup {
  return new Markup(parts.reduce((html, part, i) => html + write(values[i - 1]) + part));
}

/** Our own script or style, put in as it is. Never for anything that was read. */
export function trusted(html: string): Markup {
  return new Markup(html);
}

/** JSON for a `<script type="application/json">`: no `<` in it, so that nothing in it can end the element or begin a comment. */
export function jsonIsland(value: unknown): Markup {
  return new Markup(JSON.stringify(value).replaceAll("<", "\\u003c"));
}
