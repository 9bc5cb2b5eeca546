/** Names of accounts by their security identifiers. Read first: MS-DTYP section 2.4.2 (SID), winbase.h (LookupAccountSidW). */
import { USER_NAMES_MAX } from "../../core/base/limits.ts";
import type { Advapi32Calls } from "./advapi32.ts";
import { SID_HEADER_BYTES } from "./layout.ts";
import { readWide } from "./memory.ts";

/** The text of a SID: "S-1-5-18". Source: MS-DTYP section 2.4.2.1. */
export function formatSid(sid: Uint8Array<ArrayBuffer>): string {
  const view = new DataView(sid.buffer, sid.byteOffset, sid.byteLength);
  const authority = view.getUint16(2) * 0x1_0000_0000 + view.getUint32(4);
  let text = `S-${view.getUint8(0)}-${authority}`;
  for (let at = SID_HEADER_BYTES; at + 4 <= sid.byteLength; at += 4) text += `-${view.getUint32(at, true)}`;
  return text;
}

/** The SID of one of the accounts that services have: S-1-5-<number>. */
function serviceSid(number: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array([1, 1, 0, 0, 0, 0, 0, 5, number, 0, 0, 0]);
}

/** LocalSystem, LocalService, NetworkService. Source: MS-DTYP section 2.4.2.4. */
const SERVICE_ACCOUNTS = [18, 19, 20];

/**
 * Names that were looked up.
 *
 * A lookup may ask a domain controller over the very network that waits for us meanwhile, so that it is never waited for: until the name is
 * known, an account is called by its SID. The accounts of services are looked up at once.
 */
export class UserNames {
  readonly #calls: Pick<Advapi32Calls, "lookupAccountSidAside">;
  readonly #names = new Map<string, string>();

  constructor(calls: Pick<Advapi32Calls, "lookupAccountSidAside">) {
    this.#calls = calls;
    for (const number of SERVICE_ACCOUNTS) this.nameOf(serviceSid(number));
  }

  /** The name of the account that the kernel and most services have. */
  get systemName(): string {
    return this.nameOf(serviceSid(SERVICE_ACCOUNTS[0]!));
  }

  /** `DOMAIN\name` once it is known, the SID's text before that and where there is no name. */
  nameOf(sid: Uint8Array<ArrayBuffer>): string {
    const text = formatSid(sid);
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    if (this.#names.size >= USER_NAMES_MAX) return text;
    this.#names.set(text, text);
    this.#lookUp(sid).then((name) => this.#names.set(text, name ?? text));
    return text;
  }

  async #lookUp(sid: Uint8Array<ArrayBuffer>): Promise<string | undefined> {
    // The longest account name has 256 characters, the longest domain 255. Source: lmcons.h (UNLEN), LookupAccountSidW.
    const name = new Uint16Array(257);
    const domain = new Uint16Array(257);
    const nameLength = new Uint32Array([name.length]);
    const domainLength = new Uint32Array([domain.length]);
    const isFound = await this.#calls.lookupAccountSidAside(
      null,
      sid,
      name,
      nameLength,
      domain,
      domainLength,
      new Uint32Array(1),
    );
    if (isFound === 0) return undefined;
    const domainText = readWide(domain);
    return domainText === "" ? readWide(name) : `${domainText}\\${readWide(name)}`;
  }
}
