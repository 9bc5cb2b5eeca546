import { assertEquals } from "@std/assert";
import { NameWaits } from "../../core/act/name_waits.ts";
import { NAME_WAIT_CLIENT_FIRST_US, NAME_WAIT_US } from "../../core/base/limits.ts";
import { micros, NEVER } from "../../core/base/micros.ts";
import { NO_FLOW } from "../../core/classify/flow_table.ts";

Deno.test("NameWaits.expired() gives flows up in the order of their deadlines, long and short ones alike", () => {
  const waits = new NameWaits();
  assertEquals([waits.nextDeadline(), waits.expired(NEVER), waits.longest()], [NEVER, NO_FLOW, NO_FLOW]);
  waits.start(1, 443, micros(0));
  waits.start(2, 22, micros(10));
  waits.start(3, 22, micros(20));
  assertEquals(waits.nextDeadline(), 10 + NAME_WAIT_US);
  assertEquals([waits.expired(micros(9 + NAME_WAIT_US)), waits.expired(micros(10 + NAME_WAIT_US))], [NO_FLOW, 2]);
  assertEquals(waits.longest(), 1);
  const order: number[] = [];
  for (let flow = waits.expired(NEVER); flow !== NO_FLOW; flow = waits.expired(NEVER)) {
    order.push(flow);
    waits.stop(flow);
  }
  assertEquals([order, waits.nextDeadline()], [[2, 3, 1], NEVER]);
});

Deno.test("NameWaits waits longer where the client speaks first", () => {
  for (const port of [80, 443, 853, 8080, 8443]) {
    const waits = new NameWaits();
    waits.start(1, port, micros(5));
    assertEquals(waits.nextDeadline(), 5 + NAME_WAIT_CLIENT_FIRST_US);
  }
});
