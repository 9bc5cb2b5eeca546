import { assertEquals } from "@std/assert";
import { isLetIn, readFirewall, type RegistryCalls } from "../../../ffi/win32/firewall.ts";

const PROGRAM = "C:\\weir\\weir.exe";
const ALLOW = `v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|App=c:\\WEIR\\weir.exe|Name=weir|`;
const ON = [true, true, true];

const CASES: readonly [string, string[], boolean[], boolean][] = [
  ["no rule", [], ON, false],
  ["a rule that allows", [ALLOW], ON, true],
  ["a rule that allows and one that blocks", [ALLOW, ALLOW.replace("Allow", "Block")], ON, false],
  ["a rule that is switched off", [ALLOW.replace("TRUE", "FALSE")], ON, false],
  ["a rule for what goes out", [ALLOW.replace("Dir=In", "Dir=Out")], ON, false],
  ["a rule for another program", [ALLOW.replace("weir.exe", "other.exe")], ON, false],
  ["a rule that makes no sense", ["||=|App"], ON, false],
  ["no firewall", [], [false, false, false], true],
];

for (const [what, rules, isOn, expected] of CASES) {
  Deno.test(`isLetIn() says ${expected} with ${what}`, () => assertEquals(isLetIn({ rules, isOn }, PROGRAM), expected));
}

/** A registry with these values under the rules' key; profiles hold what `enabled` says. */
function fakeRegistry(
  rules: readonly string[] | undefined,
  enabled: readonly number[],
): RegistryCalls & { open: number } {
  const paths: string[] = [];
  const registry = {
    open: 0,
    RegOpenKeyExW(_root: bigint, path: Uint8Array, _options: number, _access: number, out: BigUint64Array): number {
      const name = new TextDecoder("utf-16le").decode(path).replace(/\0.*$/s, "");
      if (name.endsWith("FirewallRules") && rules === undefined) return 2;
      registry.open++;
      out[0] = BigInt(paths.push(name));
      return 0;
    },
    RegEnumValueW(
      _key: bigint,
      index: number,
      _name: Uint16Array,
      _units: Uint32Array,
      _reserved: null,
      type: Uint32Array,
      data: Uint16Array,
      bytes: Uint32Array,
    ): number {
      const rule = rules![index];
      if (rule === undefined) return 259;
      if (rule.length * 2 > bytes[0]!) return 234;
      for (let i = 0; i < rule.length; i++) data[i] = rule.charCodeAt(i);
      type[0] = 1;
      bytes[0] = rule.length * 2;
      return 0;
    },
    RegQueryValueExW(key: bigint, _name: Uint8Array, _reserved: null, type: Uint32Array, value: Uint32Array): number {
      const profile = ["Domain", "Standard", "Public"].findIndex((word) => paths[Number(key) - 1]!.includes(word));
      type[0] = 4;
      value[0] = enabled[profile]!;
      return 0;
    },
    RegCloseKey(): number {
      registry.open--;
      return 0;
    },
  };
  return registry as unknown as RegistryCalls & { open: number };
}

Deno.test("readFirewall() reads rules and profiles, passes over what is too long, and closes every key", () => {
  const registry = fakeRegistry([ALLOW, "x".repeat(20_000), "v2.31|Name=short|"], [0, 1, 0]);
  assertEquals(readFirewall(registry), { rules: [ALLOW, "v2.31|Name=short|"], isOn: [false, true, false] });
  assertEquals(registry.open, 0);
});

Deno.test("readFirewall() says nothing where there is nothing to read", () => {
  assertEquals(readFirewall(fakeRegistry(undefined, [1, 1, 1])), undefined);
});
