/** Drop reasons in plain words, for people who do not know the code. */

const WORDS: ReadonlyMap<string, string> = new Map([
  ["notIp", "carries no IP (ARP, LLDP, spanning tree and the like)"],
  ["linkTruncated", "frame ends inside its link-layer header"],
  ["badVersion", "IP version is neither 4 nor 6"],
  ["ipv4Truncated", "packet ends inside its IPv4 header"],
  ["ipv4BadHeaderLength", "IPv4 header length is impossible"],
  ["ipv4BadLength", "IPv4 total length is impossible"],
  ["ipv4BadChecksum", "IPv4 header checksum is wrong"],
  ["ipv6Truncated", "packet ends inside its IPv6 header"],
  ["ipv6BadLength", "IPv6 payload length is impossible"],
  ["ipv6BadExtension", "IPv6 extension header chain is broken"],
  ["tcpTruncated", "packet ends inside its TCP header"],
  ["tcpBadHeaderLength", "TCP header length is impossible"],
  ["tcpBadChecksum", "TCP checksum is wrong"],
  ["udpTruncated", "packet ends inside its UDP header"],
  ["udpBadLength", "UDP length is impossible"],
  ["udpBadChecksum", "UDP checksum is wrong"],
  ["icmpTruncated", "packet ends inside its ICMP header"],
  ["icmpBadChecksum", "ICMP checksum is wrong"],
  ["unsupportedProtocol", "neither TCP, UDP nor ICMP, and nobody to hand it on to"],
  ["fragmentMalformed", "fragment is too short or its length is no multiple of 8"],
  ["fragmentOverlap", "fragments overlap, so the whole datagram goes"],
  ["fragmentDuplicate", "fragment had already arrived"],
  ["fragmentTimeout", "the other fragments did not arrive in time"],
  ["fragmentTableFull", "too many datagrams were waiting for fragments"],
  ["flowTableFull", "too many flows at once"],
  ["queueFull", "too many packets were waiting"],
  ["deviceFull", "the device took no more packets"],
  ["ruleReject", "rejected by a rule or the policy"],
  ["ruleDrop", "dropped by a rule or the policy"],
  ["flowEnded", "still waiting when its flow ended"],
  ["mobilityBadChecksum", "IPv6 mobility header checksum is wrong"],
  ["badAddress", "source address cannot be answered"],
  ["noConnection", "TCP segment belongs to no connection"],
  ["backlogFull", "too many connections were being opened"],
  ["portUnreachable", "nobody takes datagrams there"],
  ["icmpUnrelated", "ICMP message about nothing known"],
  ["programDrop", "dropped by a packet program"],
  ["programOverflow", "a packet program held too many packets back"],
  ["programCorrupt", "damaged by a packet program on its way into the stack"],
]);

/** True when `dropWords()` has a sentence of its own for this reason. */
export function hasDropWords(reason: string): boolean {
  return WORDS.has(reason);
}

/** What a drop reason means; one without a sentence is taken apart into its words. */
export function dropWords(reason: string): string {
  return WORDS.get(reason) ?? reason.replace(/(?<=[a-z0-9])(?=[A-Z])/g, " ").toLowerCase();
}
