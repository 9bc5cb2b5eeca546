/** Nothing leaves the machine but what is named here: programs, and what every program needs. A program without a known name is not let out. */
import { definePolicy } from "weir";

const PROGRAMS = ["curl", "curl.exe", "firefox.exe", "updater.exe"];

export default definePolicy({
  rules: (r) => [
    r.geoip("lan", { noResolve: true }).direct(),
    r.and(r.network("udp"), r.dstPort(53, 123)).direct(),
    r.not(r.or(...PROGRAMS.map((name) => r.processName(name)))).reject(),
  ],
});
