/** What a policy's `onDns` answered, in the words of weir's DNS. */
import { type IpAddress, parseIp } from "../base/ip_address.ts";
import { type NameServer, parseNameServer } from "../config/dns.ts";
import { Rcode } from "../dns/message.ts";
import type { PolicyRcode, ReadDnsAnswer } from "../policy/dns_answer.ts";
import type { AskedDns } from "./dns_service.ts";

const RCODES: Readonly<Record<PolicyRcode, Rcode>> = {
  success: Rcode.Success,
  refused: Rcode.Refused,
  nxdomain: Rcode.NameError,
  servfail: Rcode.ServerFailure,
};

/** Turns an answer that was read into what is to be done. Errors: one sentence about a name server that is none. */
export function verdictOnQuestion(read: ReadDnsAnswer): AskedDns | string {
  if ("rcode" in read) return { kind: "rcode", rcode: RCODES[read.rcode] };
  if ("rewrite" in read) return { kind: "rewrite", name: read.rewrite };
  if ("answer" in read) {
    return { kind: "answer", addresses: read.answer.map((text): IpAddress => parseIp(text)!), ttl: read.ttl };
  }
  const servers: NameServer[] = [];
  for (const text of read.upstream) {
    const server = parseNameServer(text);
    if (server === undefined) {
      return `there is no name server ${
        JSON.stringify(text)
      }; write one like "1.1.1.1", "tls://1.1.1.1:853" or "https://dns.example/dns-query"`;
    }
    servers.push(server);
  }
  return { kind: "upstream", key: read.upstream.join("\n"), servers };
}
