/** Runs under Wine: what doctor is told of a Windows machine, as JSON. examine.ts DLL… */
import { examineWindows } from "../../../ffi/iphlpapi/examine.ts";

const drivers = Deno.args.map((path) => (
  { name: path.slice(path.lastIndexOf("\\") + 1), path, isEmbedded: false, sha256: undefined, failure: undefined }
));
console.log(JSON.stringify(examineWindows(drivers)));
