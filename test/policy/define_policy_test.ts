import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { definePolicy } from "../../core/policy/define_policy.ts";
import * as weir from "../../core/policy/mod.ts";
import type { Policy } from "../../core/policy/policy.ts";

Deno.test("definePolicy() hands a good policy back as it is", () => {
  const policies: Policy[] = [
    {},
    { rules: ["MATCH,DIRECT"] },
    {
      rules: (r) => [r.match().direct()],
      onConnection: () => "DIRECT",
      onDns: ({ type }) => type === "A" ? { answer: "1.2.3.4" } : undefined,
    },
  ];
  for (const policy of policies) assertStrictEquals(definePolicy(policy), policy);
});

Deno.test("definePolicy() says which part is wrong", () => {
  const cases: [unknown, string][] = [
    [undefined, "expected an object, found undefined"],
    [null, "expected an object, found null"],
    [() => {}, "expected an object, found function"],
    [{ onConnect() {} }, "there is no onConnect; its parts are rules, onConnection, onDns"],
    [{ rules: "MATCH,DIRECT" }, "rules is a function or a list, found string"],
    [{ onConnection: "DIRECT" }, "onConnection is a function, found string"],
    [{ onDns: 5 }, "onDns is a function, found number"],
  ];
  for (const [policy, message] of cases) {
    assertThrows(() => definePolicy(policy as Policy), TypeError, `Cannot define the policy: ${message}`);
  }
});

Deno.test('the module "weir" gives a script definePolicy and nothing else at run time', () => {
  assertEquals(Object.keys(weir), ["definePolicy"]);
});
