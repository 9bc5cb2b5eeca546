/** Proxies of a simulated world, drawn from its seed. */
import type { Prng } from "../../core/base/prng.ts";
import type { OutboundSettings, ProtocolSettings } from "../../core/outbound/settings.ts";

const CIPHERS = ["aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305"];
const CIPHERS_2022: readonly (readonly [cipher: string, keyBytes: number])[] = [
  ["2022-blake3-aes-128-gcm", 16],
  ["2022-blake3-aes-256-gcm", 32],
];
const VMESS_CIPHERS = ["auto", "aes-128-gcm", "chacha20-poly1305", "none"];

function drawSecret(prng: Prng, length: number): string {
  let text = "";
  for (let i = 0; i < length; i++) text += String.fromCharCode(prng.between(97, 122));
  return text;
}

function pick<T>(from: readonly T[], prng: Prng): T {
  return from[prng.below(from.length)]!;
}

function drawProtocol(prng: Prng): ProtocolSettings {
  const login = prng.chance(1, 2) ? { user: drawSecret(prng, 5), password: drawSecret(prng, 9) } : undefined;
  const password = drawSecret(prng, prng.between(1, 30));
  switch (prng.below(7)) {
    case 0:
      return { kind: "socks5", login };
    case 1:
      return { kind: "http", login, headers: [] };
    case 2:
      return { kind: "ss", cipher: pick(CIPHERS, prng), password };
    case 3: {
      const [cipher, keyBytes] = pick(CIPHERS_2022, prng);
      return { kind: "ss", cipher, password: btoa(drawSecret(prng, keyBytes)) };
    }
    case 4:
      return { kind: "trojan", password };
    case 5:
      return { kind: "vmess", uuid: password, cipher: pick(VMESS_CIPHERS, prng) };
    default:
      return { kind: "vless", uuid: password };
  }
}

/**
 * True for protocols below which a WebSocket may lie in a world whose programs wait for each other's ends: a WebSocket has no halves, so only a
 * protocol that tells the end itself gets it across.
 */
function mayUseWebSocket({ kind }: ProtocolSettings): boolean {
  return kind === "vmess";
}

/** Draws a chain of one to three proxies, the one that speaks to the destination first. */
export function drawHops(prng: Prng): OutboundSettings[] {
  const count = prng.chance(1, 3) ? prng.between(2, 3) : 1;
  return Array.from({ length: count }, (_, index): OutboundSettings => {
    const protocol = drawProtocol(prng);
    const early = prng.chance(1, 2) ? 2_048 : 0;
    return {
      name: `proxy${index}`,
      protocol,
      server: `proxy${index}.example`,
      port: prng.between(1, 65_535),
      udp: false,
      tls: undefined,
      webSocket: mayUseWebSocket(protocol) && prng.chance(1, 2)
        ? { path: "/way", headers: [], earlyDataBytesMax: early, earlyDataHeader: "Sec-WebSocket-Protocol" }
        : undefined,
      dialer: undefined,
      interfaceName: undefined,
      ipVersion: "dual",
    };
  });
}
