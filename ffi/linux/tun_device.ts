/** The TUN device itself: opened by name, with what the kernel can leave to us. Read first: Documentation/networking/tuntap.rst. */
import { Errno } from "./errno.ts";
import {
  IFF_NO_PI,
  IFF_TUN,
  IFF_TUN_EXCL,
  IFF_VNET_HDR,
  IFNAMSIZ,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDWR,
  Size,
  TUN_F_CSUM,
  TUN_F_TSO4,
  TUN_F_TSO6,
  TUN_F_USO4,
  TUN_F_USO6,
  TUNGETFEATURES,
  TUNSETIFF,
  TUNSETOFFLOAD,
  TUNSETVNETHDRSZ,
} from "./layout.ts";
import { type Descriptor, type Libc, LinuxError, usize } from "./libc.ts";

/** The file through which every TUN device is made. */
export const TUN_FILE = "/dev/net/tun";

/** What an open device is. */
export interface TunDevice {
  readonly descriptor: Descriptor;
  /** The name that the kernel gave it. */
  readonly name: string;
  /** True when a `virtio_net_hdr` stands before each packet. */
  readonly hasHeader: boolean;
  /** True when the kernel hands over TCP packets larger than the MTU; `cutsUdp` the same of UDP. */
  readonly segmentsTcp: boolean;
  readonly segmentsUdp: boolean;
}

/** Errors: a RangeError for a name that no device can have. */
export function checkDeviceName(name: string): void {
  if (!/^[A-Za-z0-9_.-]{1,15}$/.test(name) || name === "." || name === "..") {
    throw new RangeError(`Cannot name a device "${name}": up to 15 letters, digits, "_", "-" and "." are allowed`);
  }
}

/** Opens a new device. Errors: `LinuxError` or `RangeError`, one sentence that says what is missing. */
export function openTunDevice(libc: Libc, name: string, wantsOffload: boolean): TunDevice {
  checkDeviceName(name);
  const descriptor = openTunFile(libc);
  try {
    const features = new Uint32Array(1);
    libc.check(libc.calls.ioctl(descriptor.number, usize(TUNGETFEATURES), features), "ask what TUN devices can do");
    const hasHeader = wantsOffload && (features[0]! & IFF_VNET_HDR) !== 0;
    const given = setInterface(libc, descriptor, name, hasHeader);
    const offloads = hasHeader ? setOffloads(libc, descriptor) : 0;
    return {
      descriptor,
      name: given,
      hasHeader,
      segmentsTcp: (offloads & TUN_F_TSO4) !== 0,
      segmentsUdp: (offloads & TUN_F_USO4) !== 0,
    };
  } catch (error) {
    descriptor.close();
    throw error;
  }
}

function openTunFile(libc: Libc): Descriptor {
  try {
    return libc.openFile(TUN_FILE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  } catch (error) {
    if (error instanceof LinuxError && (error.errno === Errno.ENOENT || error.errno === Errno.ENODEV)) {
      throw new Error(
        `Cannot open ${TUN_FILE}: it is not there; load the kernel module tun, or hand the file into the container`,
      );
    }
    throw error;
  }
}

function setInterface(libc: Libc, descriptor: Descriptor, name: string, hasHeader: boolean): string {
  const request = new Uint8Array(Size.ifreq);
  new TextEncoder().encodeInto(name, request);
  const flags = IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL | (hasHeader ? IFF_VNET_HDR : 0);
  new DataView(request.buffer).setUint16(IFNAMSIZ, flags, true);
  if (libc.calls.ioctl(descriptor.number, usize(TUNSETIFF), request) < 0) {
    const errno = libc.errno();
    if (errno === Errno.EBUSY || errno === Errno.EEXIST) {
      throw new Error(`Cannot make the device ${name}: there is one of this name`);
    }
    if (errno === Errno.EPERM) throw new Error(`Cannot make the device ${name}: only root may (or CAP_NET_ADMIN)`);
    throw new LinuxError(`make the device ${name}`, errno);
  }
  const end = request.indexOf(0);
  return new TextDecoder().decode(request.subarray(0, Math.min(end, IFNAMSIZ)));
}

/** Asks for as much as this kernel knows. Shape: the flags that were accepted; 0 when it knows none. */
function setOffloads(libc: Libc, descriptor: Descriptor): number {
  const { ioctl, ioctlValue } = libc.calls;
  libc.check(
    ioctl(descriptor.number, usize(TUNSETVNETHDRSZ), new Int32Array([Size.virtio_net_hdr])),
    "set the size of the packets' headers",
  );
  const tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  for (const wanted of [tcp | TUN_F_USO4 | TUN_F_USO6, tcp, TUN_F_CSUM]) {
    if (ioctlValue(descriptor.number, usize(TUNSETOFFLOAD), usize(wanted)) >= 0) return wanted;
  }
  return 0;
}
