/**
 * TCP options in packetdrill notation: `<mss 1460,nop,wscale 6,sackOK,TS val 1 ecr 0>`.
 *
 * Source: google/packetdrill syntax.md, `tcp_option`; FreeBSD dialect: `TS val ... ecr 7!`, `md5 valid`.
 */
import type { TcpOption } from "./script.ts";
import type { TokenReader } from "./token_reader.ts";

const UINT32_MAX = 0xffffffff;

/** A Fast Open cookie in hexadecimal; a bare number stands for its digits. */
function cookieOf(reader: TokenReader): number[] {
  if (!reader.isKind("word") && !reader.isKind("integer")) return [];
  const digits = reader.peek().text;
  if (digits === "TFO_COOKIE") reader.unsupported("TCP Fast Open");
  if (!/^([0-9a-fA-F]{2})*$/.test(digits)) reader.fail("expected a cookie of pairs of hexadecimal digits");
  reader.next();
  return (digits.match(/../g) ?? []).map((pair) => parseInt(pair, 16));
}

function sackBlocks(reader: TokenReader): (readonly [number, number])[] {
  const blocks: [number, number][] = [];
  while (reader.isKind("integer")) {
    const left = reader.integer("the left edge of a SACK block", UINT32_MAX);
    reader.expect(":", "in a SACK block");
    blocks.push([left, reader.integer("the right edge of a SACK block", UINT32_MAX)]);
  }
  if (blocks.length === 0) reader.fail("expected a SACK block");
  if (blocks.length > 4) reader.fail(`${blocks.length} SACK blocks do not fit into a TCP header`);
  return blocks;
}

function timestamps(reader: TokenReader): TcpOption {
  reader.expect("val", "after TS");
  const ignoreValue = reader.isKind("ellipsis");
  if (ignoreValue) reader.next();
  const value = ignoreValue ? 0 : reader.integer("a timestamp", UINT32_MAX);
  reader.expect("ecr", "after the timestamp");
  const echo = reader.integer("an echoed timestamp", UINT32_MAX);
  return { kind: "timestamps", value, echo, ignoreValue, absoluteEcho: reader.take("!") };
}

function readOption(reader: TokenReader): TcpOption {
  const name = reader.word("a TCP option");
  if (reader.isKind("word") && /^[A-Z][A-Z0-9_]*$/.test(reader.peek().text)) {
    reader.unsupported("a definition from packetdrill's command line");
  }
  switch (name) {
    case "nop":
    case "eol":
    case "sackOK":
      return { kind: name };
    case "mss":
      return { kind: "mss", value: reader.integer("an MSS", 0xffff) };
    case "wscale":
      return { kind: "wscale", value: reader.integer("a window scale", 0xff) };
    case "sack":
      return { kind: "sack", blocks: sackBlocks(reader) };
    case "TS":
      return timestamps(reader);
    case "FO":
      return { kind: "fastOpen", cookie: cookieOf(reader), experimental: false };
    case "FOEXP":
    case "EXP-FO":
    case "exp-FO":
      return { kind: "fastOpen", cookie: cookieOf(reader), experimental: true };
    case "md5":
      return reader.unsupported("TCP MD5 signatures");
    default:
      if (/AccECN|TARR|tarr/.test(name)) return reader.unsupported(`the TCP option ${name}`);
      return reader.fail(`the TCP option ${JSON.stringify(name)} is unknown`);
  }
}

/** Reads `<…>` after the `<`. Shape: undefined for `<...>`, any options. */
export function readTcpOptions(reader: TokenReader): readonly TcpOption[] | undefined {
  if (reader.isKind("ellipsis")) {
    reader.next();
    reader.expect(">", "after <...");
    return undefined;
  }
  const options = [readOption(reader)];
  while (reader.take(",")) options.push(readOption(reader));
  reader.expect(">", "at the end of the TCP options");
  return options;
}
