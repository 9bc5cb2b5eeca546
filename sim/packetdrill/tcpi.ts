/** TCP_INFO's fields by the names that scripts use. Source: linux/tcp.h, struct tcp_info; BSD names its states TCPI_…. */
import { TcpInfo } from "../../core/stack/tcp/info.ts";
import { TcpState } from "../../core/stack/tcp/tcp_state.ts";
import type { StreamConnection } from "./net_port.ts";

const CONSTANTS: Readonly<Record<string, number>> = {
  True: 1,
  False: 0,
  TCP_ESTABLISHED: 1,
  TCP_SYN_SENT: 2,
  TCP_SYN_RECV: 3,
  TCP_FIN_WAIT1: 4,
  TCP_FIN_WAIT2: 5,
  TCP_TIME_WAIT: 6,
  TCP_CLOSE: 7,
  TCP_CLOSE_WAIT: 8,
  TCP_LAST_ACK: 9,
  TCP_LISTEN: 10,
  TCP_CLOSING: 11,
  TCPI_CLOSED: 7,
  TCPI_LISTEN: 10,
  TCPI_SYN_SENT: 2,
  TCPI_SYN_RECEIVED: 3,
  TCPI_ESTABLISHED: 1,
  TCPI_CLOSE_WAIT: 8,
  TCPI_FIN_WAIT_1: 4,
  TCPI_CLOSING: 11,
  TCPI_LAST_ACK: 9,
  TCPI_FIN_WAIT_2: 5,
  TCPI_TIME_WAIT: 6,
  TCP_CA_Open: 0,
  TCP_CA_Disorder: 1,
  TCP_CA_CWR: 2,
  TCP_CA_Recovery: 3,
  TCP_CA_Loss: 4,
  TCPI_OPT_TIMESTAMPS: 1,
  TCPI_OPT_SACK: 2,
  TCPI_OPT_WSCALE: 4,
  TCPI_OPT_ECN: 8,
};

/** Our states as Linux numbers them. Shape: indexed by `TcpState`. */
const STATES: readonly number[] = [7, 10, 2, 3, 1, 4, 5, 8, 11, 9, 6];

/** Linux says 2³¹−1 while no loss has set the threshold. */
const THRESHOLD_UNSET = 0x7fffffff;

function segments(bytes: number, mss: number): number {
  return mss === 0 ? 0 : Math.floor(bytes / mss);
}

const FIELDS: Readonly<Record<string, (info: TcpInfo) => number>> = {
  tcpi_state: (info) => STATES[info.state] ?? STATES[TcpState.Closed]!,
  tcpi_ca_state: (info) => info.congestionState,
  tcpi_backoff: (info) => info.backoff,
  tcpi_options: (info) =>
    Number(info.timestamps) | (Number(info.sack) << 1) | (Number(info.windowScale) << 2) | (Number(info.ecn) << 3),
  tcpi_snd_wscale: (info) => info.sendScale,
  tcpi_rcv_wscale: (info) => info.receiveScale,
  tcpi_rto: (info) => info.rtoUs,
  tcpi_snd_mss: (info) => info.sendMss,
  tcpi_rcv_mss: (info) => info.receiveMss,
  tcpi_rtt: (info) => info.smoothedRttUs,
  tcpi_rttvar: (info) => info.rttVarianceUs,
  tcpi_min_rtt: (info) => info.minRttUs,
  tcpi_snd_cwnd: (info) => segments(info.congestionWindowBytes, info.sendMss),
  tcpi_snd_ssthresh: (info) =>
    info.slowStartThresholdBytes >= THRESHOLD_UNSET
      ? THRESHOLD_UNSET
      : segments(info.slowStartThresholdBytes, info.sendMss),
  tcpi_unacked: (info) => info.unackedSegments,
  tcpi_sacked: (info) => info.sackedSegments,
  tcpi_lost: (info) => info.lostSegments,
  tcpi_notsent_bytes: (info) => info.notSentBytes,
  tcpi_total_retrans: (info) => info.retransmits,
  tcpi_reordering: (info) => info.reordering,
  tcpi_bytes_sent: (info) => info.bytesSent,
  tcpi_bytes_acked: (info) => info.bytesAcked,
  tcpi_bytes_received: (info) => info.bytesReceived,
  tcpi_bytes_retrans: (info) => info.bytesRetransmitted,
  tcpi_segs_in: (info) => info.segmentsIn,
  tcpi_segs_out: (info) => info.segmentsOut,
  tcpi_data_segs_in: (info) => info.dataSegmentsIn,
  tcpi_data_segs_out: (info) => info.dataSegmentsOut,
  tcpi_snd_wnd: (info) => info.sendWindowBytes,
  tcpi_rcv_wnd: (info) => info.receiveWindowBytes,
};

/** Looks names up in a connection's TCP_INFO. */
export function tcpInfoValues(connection: StreamConnection): (name: string) => number | undefined {
  const info = new TcpInfo();
  connection.info(info);
  return (name) =>
    Object.hasOwn(FIELDS, name) ? FIELDS[name]!(info) : Object.hasOwn(CONSTANTS, name) ? CONSTANTS[name] : undefined;
}
