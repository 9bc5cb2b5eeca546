import { assert } from "@std/assert";
import { formatIp } from "../../core/base/ip_address.ts";
import { resolveWithSystem } from "../../core/host/system_resolver.ts";

Deno.test("resolveWithSystem() knows this machine itself", async () => {
  const found = (await resolveWithSystem("localhost")).map(formatIp);
  assert(found.includes("127.0.0.1") || found.includes("::1"), found.join(", "));
});
