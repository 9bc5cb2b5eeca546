/**
 * Link types by number and name.
 *
 * Read first: https://www.tcpdump.org/linktypes.html (the registry), RFC draft-ietf-opsawg-pcaplinktype.
 */

/** The link types that weir can strip, by the registry's names. */
export const LINKTYPE = {
  NULL: 0,
  ETHERNET: 1,
  PPP: 9,
  /** DLT_RAW as some systems wrote it into files. */
  DLT_RAW: 12,
  /** DLT_RAW of OpenBSD. */
  DLT_RAW_OPENBSD: 14,
  PPP_HDLC: 50,
  PPP_ETHER: 51,
  RAW: 101,
  C_HDLC: 104,
  LOOP: 108,
  LINUX_SLL: 113,
  /** Darwin wrote PKTAP under this number before it had its own. */
  USER2: 149,
  IPV4: 228,
  IPV6: 229,
  PKTAP: 258,
  LINUX_SLL2: 276,
} as const;

const NAMES: ReadonlyMap<number, string> = new Map([
  [LINKTYPE.NULL, "NULL"],
  [LINKTYPE.ETHERNET, "ETHERNET"],
  [6, "IEEE802_5"],
  [LINKTYPE.PPP, "PPP"],
  [LINKTYPE.DLT_RAW, "RAW"],
  [LINKTYPE.DLT_RAW_OPENBSD, "RAW"],
  [LINKTYPE.PPP_HDLC, "PPP_HDLC"],
  [LINKTYPE.PPP_ETHER, "PPP_ETHER"],
  [LINKTYPE.RAW, "RAW"],
  [LINKTYPE.C_HDLC, "C_HDLC"],
  [105, "IEEE802_11"],
  [107, "FRELAY"],
  [LINKTYPE.LOOP, "LOOP"],
  [LINKTYPE.LINUX_SLL, "LINUX_SLL"],
  [117, "PFLOG"],
  [127, "IEEE802_11_RADIOTAP"],
  [147, "USER0"],
  [LINKTYPE.USER2, "USER2"],
  [189, "USB_LINUX"],
  [195, "IEEE802_15_4_WITHFCS"],
  [201, "BLUETOOTH_HCI_H4_WITH_PHDR"],
  [220, "USB_LINUX_MMAPPED"],
  [227, "CAN_SOCKETCAN"],
  [LINKTYPE.IPV4, "IPV4"],
  [LINKTYPE.IPV6, "IPV6"],
  [239, "NFLOG"],
  [249, "USBPCAP"],
  [253, "NETLINK"],
  [LINKTYPE.PKTAP, "PKTAP"],
  [LINKTYPE.LINUX_SLL2, "LINUX_SLL2"],
]);

/** The name of a link type without LINKTYPE_; a number that has no name here is its own name. */
export function linkTypeName(linkType: number): string {
  return NAMES.get(linkType) ?? String(linkType);
}

/** Adds the name of a link type to a list unless it stands there already. */
export function addLinkTypeName(names: string[], linkType: number): void {
  const name = linkTypeName(linkType);
  if (!names.includes(name)) names.push(name);
}
