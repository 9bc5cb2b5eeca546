/**
 * Sends what games send twice, so that one lost packet is not noticed. It costs their bandwidth once more, which is little: so downloads and calls
 * are left alone.
 */
import { definePolicy } from "weir";

const GAMES = new Set(["game.exe", "cs2.exe", "valorant-win64-shipping.exe"]);
const WEB_PORTS = new Set(["80", "443"]);

export default definePolicy({
  onConnection(meta) {
    if (meta.network !== "udp" || WEB_PORTS.has(meta.destinationPort)) return undefined;
    if (GAMES.has(meta.process.toLowerCase())) return { duplicate: 2, via: "DIRECT" };
    return undefined;
  },
});
