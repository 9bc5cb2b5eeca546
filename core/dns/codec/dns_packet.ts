/** `dns-packet`, typed: the package carries no declarations. */
// @ts-types="./dns_packet.d.ts"
export * from "dns-packet";
