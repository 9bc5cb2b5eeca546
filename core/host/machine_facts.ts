/** What `weir doctor` is told of a machine, whoever finds it out. Undefined means "could not be found out". */

/** A library that weir needs and does not have in itself. */
export interface DriverFile {
  /** `wintun.dll`, `WinDivert.dll`, `WinDivert64.sys`. */
  readonly name: string;
  /** Where it was found; undefined when it was not. */
  readonly path: string | undefined;
  readonly isEmbedded: boolean;
  /** Lower-case hex; undefined when the file is absent or could not be read. */
  readonly sha256: string | undefined;
  /** Why it cannot be used although it is there: the system's own words. */
  readonly failure: string | undefined;
}

/** A Windows service that a driver runs as. */
export interface DriverService {
  readonly name: string;
  readonly state: "absent" | "stopped" | "running" | "disabled" | "marked for deletion";
}

/** What a Windows machine has. */
export interface WindowsFacts {
  readonly kind: "windows";
  readonly isAdministrator: boolean | undefined;
  readonly drivers: readonly DriverFile[];
  readonly services: readonly DriverService[];
  /** True when a rule of the Windows firewall lets connections in to this program. */
  readonly isListenerAllowed: boolean | undefined;
  readonly interfaces: readonly string[];
  readonly program: string;
}

/** What a Linux machine has. */
export interface LinuxFacts {
  readonly kind: "linux";
  /** The capabilities CAP_NET_ADMIN and CAP_NET_RAW are effective. Source: capabilities(7). */
  readonly mayAdminister: boolean | undefined;
  readonly maySendRaw: boolean | undefined;
  readonly tunDevice: "present" | "absent" | "denied";
  /** Where the programs are; undefined when they are not. */
  readonly iptables: string | undefined;
  readonly ip6tables: string | undefined;
  /** True when the kernel knows queues for packets, in it or as a module that it can load. */
  readonly hasNfqueue: boolean | undefined;
  readonly interfaces: readonly string[];
}

/** A machine on which weir replays, checks and simulates, but cannot run live. */
export interface OtherFacts {
  readonly kind: "other";
  readonly system: string;
}

/** What a machine has. */
export type MachineFacts = WindowsFacts | LinuxFacts | OtherFacts;
