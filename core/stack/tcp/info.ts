/** What a connection tells about itself, in the terms of TCP_INFO. */
import { TcpState } from "./tcp_state.ts";

/** A record that `TcpConnection.info()` fills. Units: µs, bytes, segments as the names say. */
export class TcpInfo {
  state: TcpState = TcpState.Closed;
  /** True while recovering from loss; false in the open state. */
  inRecovery = false;
  /** True after a retransmission timeout until the window of that time is acknowledged. */
  inLoss = false;
  /** As Linux counts in tcpi_ca_state: 0 open, 1 disorder, 2 reduced by ECN, 3 recovery, 4 loss. */
  congestionState = 0;
  /** Consecutive timeouts of the retransmission timer. */
  backoff = 0;
  timestamps = false;
  sack = false;
  windowScale = false;
  ecn = false;
  sendScale = 0;
  receiveScale = 0;
  rtoUs = 0;
  sendMss = 0;
  receiveMss = 0;
  smoothedRttUs = 0;
  rttVarianceUs = 0;
  minRttUs = 0;
  congestionWindowBytes = 0;
  slowStartThresholdBytes = 0;
  sendWindowBytes = 0;
  receiveWindowBytes = 0;
  /** Bytes sent and not acknowledged. */
  unackedBytes = 0;
  unackedSegments = 0;
  sackedSegments = 0;
  lostSegments = 0;
  /** Bytes written by the application and not sent yet. */
  notSentBytes = 0;
  /** Segments retransmitted in the connection's life. */
  retransmits = 0;
  duplicateSegmentsReceived = 0;
  bytesSent = 0;
  bytesAcked = 0;
  bytesReceived = 0;
  bytesRetransmitted = 0;
  segmentsIn = 0;
  segmentsOut = 0;
  dataSegmentsIn = 0;
  dataSegmentsOut = 0;
  reordering = 0;
  sendBufferBytes = 0;
  receiveBufferBytes = 0;
}
