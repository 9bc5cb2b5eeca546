import { assert, assertEquals, assertThrows } from "@std/assert";
import { PbfWriter } from "pbf";
import { Prng } from "../../core/base/prng.ts";
import { openSiteDatabase } from "../../core/decide/geosite.ts";

type Domain = readonly [type: number, value: string, ...attributes: string[]];

function buildSites(lists: Readonly<Record<string, readonly Domain[]>>): Uint8Array {
  const writer = new PbfWriter();
  for (const [code, domains] of Object.entries(lists)) {
    writer.writeMessage(1, (_: unknown, site: PbfWriter) => {
      site.writeStringField(1, code);
      for (const [type, value, ...attributes] of domains) {
        site.writeMessage(2, (_: unknown, domain: PbfWriter) => {
          if (type !== 0) domain.writeVarintField(1, type);
          domain.writeStringField(2, value);
          for (const key of attributes) {
            domain.writeMessage(3, (_: unknown, attribute: PbfWriter) => {
              attribute.writeStringField(1, key);
              attribute.writeBooleanField(2, true);
            }, undefined);
          }
        }, undefined);
      }
    }, undefined);
  }
  return writer.finish();
}

const SITES = buildSites({
  "GOOGLE": [[2, "google.com"], [3, "www.google.cn", "cn"], [2, "ads.google.com", "ads", "cn"], [0, "gstatic"], [
    1,
    "^r[0-9]+\\.googlevideo\\.com$",
  ]],
  "CN": [[2, "cn"]],
});

function covered(code: string, hosts: readonly string[]): string[] {
  const set = openSiteDatabase(SITES)(code)!;
  return hosts.filter((host) => set.has(host));
}

const HOSTS = [
  "google.com",
  "x.google.com",
  "www.google.cn",
  "a.www.google.cn",
  "ads.google.com",
  "fonts.gstatic.com",
  "r3.googlevideo.com",
  "googlevideo.com",
  "xgoogle.com",
  "a.cn",
  "cn",
];

Deno.test("openSiteDatabase() covers names by the four types", () => {
  assertEquals(covered("google", HOSTS), [
    "google.com",
    "x.google.com",
    "www.google.cn",
    "ads.google.com",
    "fonts.gstatic.com",
    "r3.googlevideo.com",
  ]);
  assertEquals(covered("CN", HOSTS), ["www.google.cn", "a.www.google.cn", "a.cn", "cn"]);
  assertEquals(openSiteDatabase(SITES)("google")!.count, 5);
});

Deno.test("openSiteDatabase() narrows a list by attributes that must be there, or must not", () => {
  assertEquals(covered("google@ads", HOSTS), ["ads.google.com"]);
  assertEquals(covered("google@cn", HOSTS), ["www.google.cn", "ads.google.com"]);
  assertEquals(covered("google@cn@!ads", HOSTS), ["www.google.cn"]);
  assertEquals(covered("google@!cn", ["www.google.cn", "google.com"]), ["google.com"]);
  assertEquals(covered("google@nothing", HOSTS), []);
});

Deno.test("openSiteDatabase() knows no other code, and refuses what is no site database", () => {
  assertEquals(openSiteDatabase(SITES)("nowhere"), undefined);
  assertThrows(() => openSiteDatabase(new Uint8Array(0)), Error, "Cannot read site database: there is no list in it");
  assertThrows(() => openSiteDatabase(SITES.slice(0, 40)), Error, "Cannot read site database: a field at");
  assertThrows(
    () => openSiteDatabase(new TextEncoder().encode("payload:\n  - a.com\n")),
    Error,
    "Cannot read site database",
  );
});

Deno.test("openSiteDatabase() leaves out a pattern that cannot be run", () => {
  const set = openSiteDatabase(buildSites({ x: [[1, "("], [1, "^a\\."], [9, "b.com"]] }))("x")!;
  assertEquals(["a.com", "b.com"].map((host) => set.has(host)), [true, false]);
});

Deno.test("openSiteDatabase() gives an error or answers, and nothing else, when bytes are changed at random", () => {
  const prng = new Prng(3);
  let opened = 0;
  for (let i = 0; i < 5_000; i++) {
    const bytes = SITES.slice(0, prng.chance(1, 10) ? prng.below(SITES.length) : SITES.length);
    for (let k = prng.below(4); k >= 0 && bytes.length > 0; k--) bytes[prng.below(bytes.length)] = prng.below(256);
    try {
      const site = openSiteDatabase(bytes);
      opened++;
      for (const code of ["google", "cn", "google@ads"]) site(code)?.has("www.google.com");
    } catch (error) {
      assert(error instanceof Error && error.message.startsWith("Cannot read site database: "), String(error));
    }
  }
  assert(opened > 100);
});
