/** Work goes through the office, and only work does. The names are in a file of their own, so that a colleague can edit them. */
import { definePolicy } from "weir";
import { OFFICE_NAMES, OFFICE_NETWORKS } from "./office_names.ts";

export default definePolicy({
  rules: (r) => [
    ...OFFICE_NAMES.map((name) => r.domainSuffix(name).via("office")),
    ...OFFICE_NETWORKS.map((network) => r.ipCidr(network, { noResolve: true }).via("office")),
    r.match().direct(),
  ],
});
