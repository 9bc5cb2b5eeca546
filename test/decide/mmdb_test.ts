import { assert, assertEquals, assertThrows } from "@std/assert";
import { type IpAddress, parseIp } from "../../core/base/ip_address.ts";
import { Prng } from "../../core/base/prng.ts";
import { isLanAddress } from "../../core/decide/geo.ts";
import { openGeoSource } from "../../core/decide/geo_source.ts";
import { openAsnDatabase, openCountryDatabase } from "../../core/decide/mmdb.ts";
import { buildMmdb } from "./mmdb_build.ts";

const ip = (text: string): IpAddress => parseIp(text)!;

Deno.test("openCountryDatabase() reads MaxMind's records, plain codes and lists of codes", () => {
  const country = openCountryDatabase(
    buildMmdb("GeoLite2-Country", {
      "1.0.0.0/8": { country: { iso_code: "CN" } },
      "1.2.0.0/16": { country: { iso_code: "US" } },
      "9.0.0.0/8": { continent: "x" },
    }),
  );
  assertEquals(["1.1.1.1", "1.2.3.4", "9.9.9.9", "8.8.8.8", "2001:db8::1"].map((each) => [...country(ip(each))]), [
    ["cn"],
    ["us"],
    [],
    [],
    [],
  ]);
  const sing = openCountryDatabase(buildMmdb("sing-geoip", { "1.0.0.0/8": "cn" }));
  assertEquals([...sing(ip("1.1.1.1"))], ["cn"]);
  const meta = openCountryDatabase(buildMmdb("Meta-geoip0", { "1.0.0.0/8": ["cn", "cloudflare"], "2.0.0.0/8": "us" }));
  assertEquals([[...meta(ip("1.1.1.1"))], [...meta(ip("2.1.1.1"))]], [["cn", "cloudflare"], ["us"]]);
  const v6 = openCountryDatabase(
    buildMmdb("Test-Country", {
      "2001:db8::/32": { country: { iso_code: "JP" } },
      "::102:300/120": { country: { iso_code: "CN" } },
    }, 6),
  );
  assertEquals([[...v6(ip("2001:db8::9"))], [...v6(ip("1.2.3.4"))]], [["jp"], ["cn"]]);
});

Deno.test("openAsnDatabase() reads MaxMind's and ipinfo's records", () => {
  const asn = openAsnDatabase(
    buildMmdb("GeoLite2-ASN", {
      "1.1.1.0/24": { autonomous_system_number: 13335, autonomous_system_organization: "CLOUDFLARENET" },
    }),
  );
  assertEquals(asn(ip("1.1.1.1")), { number: 13335, organisation: "CLOUDFLARENET" });
  assertEquals(asn(ip("1.1.2.1")), undefined);
  const ipinfo = openAsnDatabase(
    buildMmdb("ipinfo generic_asn_free.mmdb", { "1.1.1.0/24": { asn: "AS13335", name: "Cloudflare" } }),
  );
  assertEquals(ipinfo(ip("1.1.1.1")), { number: 13335, organisation: "Cloudflare" });
});

Deno.test("openCountryDatabase() and openAsnDatabase() refuse broken files and files of another kind", () => {
  const good = buildMmdb("GeoLite2-Country", { "1.0.0.0/8": { country: { iso_code: "CN" } } });
  assertThrows(
    () => openCountryDatabase(new Uint8Array(0)),
    Error,
    "Cannot read country database: no MaxMind metadata in it",
  );
  assertThrows(() => openCountryDatabase(good.slice(0, -20)), Error, "Cannot read country database");
  assertThrows(
    () => openCountryDatabase(buildMmdb("GeoLite2-ASN", { "1.0.0.0/8": "x" })),
    Error,
    "it is of type GeoLite2-ASN",
  );
  assertThrows(() => openAsnDatabase(good), Error, "it is of type GeoLite2-Country");
  const outside = good.slice();
  outside.set([0xff, 0xff, 0xff], 0);
  assertThrows(() => openCountryDatabase(outside), Error, "node 0 points outside the data");
  const broken = good.slice();
  broken[good.indexOf(0x42)] = 0x1f; // the code's string becomes something longer than the file
  assertThrows(() => openCountryDatabase(broken), Error, "Cannot read country database");
});

Deno.test("openCountryDatabase() ends when pointers are knotted", () => {
  // Behind the record "x" at 0: a string at 2, an array of two pointers to it at 5, one of two pointers to that at 11, …
  const more = [0x42, 0x61, 0x62];
  for (let i = 0; i < 30; i++) {
    const inner = i === 0 ? 2 : 5 + (i - 1) * 6;
    more.push(2, 4, 0x20 | (inner >>> 8), inner & 255, 0x20 | (inner >>> 8), inner & 255);
  }
  const tower = buildMmdb("GeoLite2-Country", { "1.0.0.0/8": "x" }, 4, more);
  const top = 5 + 29 * 6;
  tower.set([0x20 | (top >>> 8), top & 255], tower.indexOf(0x41));
  assertEquals([...openCountryDatabase(tower)(ip("1.1.1.1"))], []);
  const knot = buildMmdb("GeoLite2-Country", { "1.0.0.0/8": "x" });
  knot.set([0x20, 0x00], knot.indexOf(0x41)); // the record is a pointer to itself
  assertThrows(() => openCountryDatabase(knot), Error, "too many pointers");
});

Deno.test("openCountryDatabase() gives an error or answers, and nothing else, when bytes are changed at random", () => {
  const prng = new Prng(99);
  const good = buildMmdb("GeoLite2-Country", {
    "1.0.0.0/8": { country: { iso_code: "CN" } },
    "1.2.0.0/16": { country: { iso_code: "US" } },
    "10.0.0.0/8": ["a", "b"],
  });
  let opened = 0;
  for (let i = 0; i < 5_000; i++) {
    const bytes = good.slice(0, prng.chance(1, 10) ? prng.below(good.length) : good.length);
    for (let k = prng.below(4); k >= 0 && bytes.length > 0; k--) bytes[prng.below(bytes.length)] = prng.below(256);
    try {
      const country = openCountryDatabase(bytes);
      opened++;
      for (const each of ["1.1.1.1", "1.2.3.4", "10.0.0.1", "2001:db8::1"]) assert(Array.isArray(country(ip(each))));
    } catch (error) {
      assert(error instanceof Error && error.message.startsWith("Cannot read country database: "), String(error));
    }
  }
  assert(opened > 100);
});

Deno.test("openGeoSource() knows nothing of what is not there", () => {
  const geo = openGeoSource({ country: buildMmdb("x-Country", { "1.0.0.0/8": "cn" }) });
  assertEquals(geo.available, { country: true, asn: false, site: false });
  assertEquals([[...geo.country(ip("1.1.1.1"))], geo.asn(ip("1.1.1.1")), geo.site("cn")], [
    ["cn"],
    undefined,
    undefined,
  ]);
});

Deno.test("isLanAddress() knows private, loopback, link-local, multicast and unspecified addresses", () => {
  const lan = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "127.0.0.1",
    "169.254.1.1",
    "224.0.0.1",
    "239.255.255.255",
    "0.0.0.0",
    "::",
    "::1",
    "fc00::1",
    "fdff::1",
    "fe80::1",
    "febf::1",
    "ff02::1",
  ];
  const other = [
    "9.255.255.255",
    "11.0.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.169.0.1",
    "169.255.0.1",
    "223.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "0.0.0.1",
    "::2",
    "fbff::1",
    "fe00::1",
    "fec0::1",
    "2001:db8::1",
  ];
  assertEquals(lan.filter((each) => !isLanAddress(ip(each))), []);
  assertEquals(other.filter((each) => isLanAddress(ip(each))), []);
});
