/** Asks SERVER for the address of NAME and prints it: resolve_client.ts SERVER NAME. */
const [ipAddr, name] = Deno.args;
console.log("resolved", ...await Deno.resolveDns(name!, "A", { nameServer: { ipAddr: ipAddr!, port: 53 } }));
