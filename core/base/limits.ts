/**
 * Every bound in weir, with its unit and its reason. A queue, table or loop without a name here is a mistake.
 */

// ── packets ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Largest IP packet that a slot holds: an IPv6 header and 65,535 bytes after it. Units: bytes. Source: WINDIVERT_MTU_MAX. */
export const PACKET_BYTES_MAX = 40 + 0xffff;

/** Room for one packet in the arena, rounded up to a multiple of 64. Units: bytes. */
export const SLOT_BYTES = 65_600;

/** Packets that may be in the engine at once, waiting ones included. 1,024 × 64 KiB is 67 MB of address space, touched only when used. */
export const ARENA_SLOT_COUNT = 1_024;

// ── captures ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** One read from a capture file, and the reader's buffer at its start. Units: bytes. Reason: larger reads are no faster, and stay in the cache less. */
export const CAPTURE_CHUNK_BYTES = 1 << 20;

/** Largest packet or block that a capture reader holds at once; a longer one means a damaged file. Units: bytes. Source: libpcap's block limit. */
export const CAPTURE_RECORD_BYTES_MAX = 16 << 20;

/** Interfaces of one capture, all its sections counted. Reason: a 20-byte block makes one, so a hostile file could make millions. */
export const CAPTURE_INTERFACE_COUNT_MAX = 65_536;

/** Process facts that a capture reader remembers in one section, and name records of one capture; further ones are counted and left out. */
export const CAPTURE_FACT_COUNT_MAX = 65_536;

/** Processes that had one id, one after another, in one section; the oldest is forgotten. Reason: each packet may look at all of them. */
export const CAPTURE_PROCESS_HISTORY_MAX = 64;

/** Compressed bytes handed to gunzip at once. Units: bytes. Reason: what one step had produced is lost when the step meets damage. */
export const CAPTURE_GUNZIP_STEP_BYTES = 16_384;

/** Longest text that a capture may put into one option or one option's part. Units: bytes. */
export const CAPTURE_TEXT_BYTES_MAX = 4_096;

/** VLAN tags, PPPoE, MPLS labels and PKTAP headers that may stand before one IP header. */
export const LINK_HEADER_COUNT_MAX = 16;

/** Entries of a side file of processes. Reason: it is searched from first to last, once a flow. */
export const PROCESS_ENTRY_COUNT_MAX = 10_000;

/** Extension headers walked in one IPv6 packet; RFC 8504 section 5.3 lets a host bound them. */
export const IPV6_EXTENSION_COUNT_MAX = 10;

// ── WinDivert filters (core/filter) ──────────────────────────────────────────────────────────────────────────────

/** Longest word of a filter. Units: characters. Source: WinDivert 2.2, whose token buffer is 40 bytes with its NUL. */
export const FILTER_TOKEN_CHARS_MAX = 39;

/** Most tokens of a filter before its end. Units: tokens. Source: WinDivert 2.2 (1,280 slots, of which it leaves the last ones unused). */
export const FILTER_TOKENS_MAX = 1278;

/** Deepest nesting of a filter; each parenthesis counts three. Units: levels. Source: WinDivert 2.2. */
export const FILTER_DEPTH_MAX = 1024;

/** Most tests of a filter's program. Units: tests. Source: WinDivert 2.2 `WINDIVERT_FILTER_MAXLEN`. */
export const FILTER_TESTS_MAX = 256;

/** Longest normal form; shared parts of a hostile program would else be written out without end. Units: characters. */
export const FILTER_TEXT_CHARS_MAX = 1_048_576;

// ── flows ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Flows at once; a power of two. A full table gives up the flow that is worth least. 65,536 is more than Windows has ephemeral ports. */
export const FLOW_COUNT_MAX = 65_536;

/** A UDP flow without packets ends after this. Units: µs. Source: Clash `udp-timeout`, 300 s. */
export const UDP_IDLE_US = 300_000_000;

/** A TCP flow whose handshake is not complete ends after this. Units: µs. Reason: six retransmitted SYNs take 127 s. */
export const TCP_EMBRYONIC_IDLE_US = 130_000_000;

/** An open TCP flow without packets ends after this. Units: µs. Source: RFC 5382 section 5 (not less than 2 h 4 min). */
export const TCP_IDLE_US = 7_440_000_000;

/** A TCP flow that both sides closed, or one reset, is remembered for its last packets. Units: µs. Source: RFC 5382 section 5 (4 min). */
export const TCP_CLOSED_IDLE_US = 240_000_000;

/** TCP flows that have closed and that a live engine remembers. Overflow: the one closed longest is forgotten. Reason: 1.5 KB each; as many as TIME-WAITs. */
export const FLOW_CLOSED_COUNT_MAX = 4_096;

/** Packets of one flow that wait for its decision; one more makes it be decided with what is known. */
export const FLOW_WAITING_COUNT_MAX = 64;

/** How long a flow waits for its name where the client speaks first by custom (HTTP, TLS). Units: µs. Reason: browsers open connections ahead of need. */
export const NAME_WAIT_CLIENT_FIRST_US = 60_000_000;

/** How long any other flow waits for its name. Units: µs. Reason: mihomo waits 1 s for a first byte, and loses slow ones. */
export const NAME_WAIT_US = 3_000_000;

// ── fragments ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Datagrams being put together at once; a full table gives up the oldest. */
export const FRAGMENT_DATAGRAM_COUNT_MAX = 64;

/** Fragments of one datagram: 65,535 bytes in pieces of 576-byte packets need 119. */
export const FRAGMENT_COUNT_MAX = 128;

/** Slots that all fragments together may hold. */
export const FRAGMENT_SLOT_COUNT_MAX = 256;

/** A datagram that is not complete after this is given up. Units: µs. Source: RFC 8200 section 4.5 (60 s), RFC 791 (15 s at least). */
export const FRAGMENT_TIMEOUT_US = 30_000_000;

// ── names of flows ───────────────────────────────────────────────────────────────────────────────────────────────

/** Longest host name. Units: characters without the final dot. Source: RFC 1035 section 3.1 (255 octets on the wire). */
export const HOST_NAME_LENGTH_MAX = 253;

/** First room for one direction's beginning; it doubles as bytes come. Most hellos fit. Units: bytes. */
export const STREAM_PREFIX_BYTES_MIN = 2_048;

/** How much of a direction's beginning a sniffer keeps: the largest hello seen in captures has 17 KiB, post-quantum keys grow. Units: bytes. */
export const STREAM_PREFIX_BYTES_MAX = 65_536;

/** Pieces that wait behind a hole at once; one more is forgotten until it is sent again. Units: ranges. */
export const STREAM_PREFIX_RANGES_MAX = 64;

/** Memory of all sniffers together; the flow that would exceed it stays without a name. Units: bytes. */
export const SNIFF_BYTES_TOTAL_MAX = 64 * 1_048_576;

/** Server segments that may pass while the client's first message still has a hole: then the hole will not be filled. Units: segments. */
export const SNIFF_SERVER_SEGMENTS_MAX = 16;

/** Segments of a flow that are looked at while its name is not known. Units: segments with payload, both directions. */
export const SNIFF_SEGMENTS_MAX = 4_096;

/** Datagrams of a flow that are looked at while its name is not known. Units: datagrams. */
export const SNIFF_DATAGRAMS_MAX = 64;

/** QUIC Initial packets of a flow that are decrypted; each costs two AES set-ups. Units: packets. */
export const QUIC_INITIALS_MAX = 32;

/** QUIC Initial packets in a row that no key opens before the flow counts as nameless. Units: packets. */
export const QUIC_UNDECRYPTABLE_MAX = 6;

/** Frames read from one QUIC packet; padding counts as one however long it is. Units: frames. */
export const QUIC_FRAMES_MAX = 512;

/** Longest HTTP method. Units: bytes. Source: the longest registered one has 17. */
export const HTTP_METHOD_LENGTH_MAX = 32;

/** Shortest time that an address keeps its name: browsers and system caches use an answer long after its TTL. Units: µs (10 min). */
export const DNS_MEMORY_TTL_US_MIN = 600 * 1_000_000;

/** Longest time that an address keeps its name. Units: µs (1 day). */
export const DNS_MEMORY_TTL_US_MAX = 86_400 * 1_000_000;

/** Addresses that the DNS memory knows; the one longest unused goes first. Units: addresses. */
export const DNS_MEMORY_ADDRESSES_MAX = 65_536;

/** Names that the DNS memory knows, forwards; the one longest unused goes first. Units: names. */
export const DNS_MEMORY_NAMES_MAX = 32_768;

/** Names kept of one address (content networks have thousands on one); the oldest goes first. Units: names. */
export const DNS_MEMORY_NAMES_PER_ADDRESS_MAX = 8;

/** Addresses kept of one name. Units: addresses. */
export const DNS_MEMORY_ADDRESSES_PER_NAME_MAX = 32;

/** Room for DNS over TCP in one direction: two of the longest messages, so that one may wait behind a hole. Units: bytes. */
export const DNS_TCP_BYTES_MAX = 2 * (2 + 0xffff);

/** Records read from one DNS message. Units: records. */
export const DNS_RECORDS_MAX = 512;

/** Links in a CNAME chain that are followed. Units: names. */
export const DNS_CHAIN_MAX = 16;

/** Compression pointers followed in one DNS name. Units: pointers. */
export const DNS_POINTERS_MAX = 64;

// ── configuration ────────────────────────────────────────────────────────────────────────────────────────────────

/** Largest configuration file; rules by the hundred thousand belong into rule-providers. Units: bytes. */
export const CONFIG_BYTES_MAX = 4 << 20;

/** Levels of lists and tables in a configuration. Units: levels. */
export const CONFIG_DEPTH_MAX = 64;

/** Values in a configuration once its aliases are expanded, against files whose aliases multiply. Units: values. */
export const CONFIG_NODE_COUNT_MAX = 1_000_000;

/** Mistakes that are listed; more are only counted. Units: issues. */
export const CONFIG_ISSUE_COUNT_MAX = 1_000;

/** YAML syntax errors listed of one file: most of those after the first few only follow from them. Units: issues. */
export const CONFIG_SYNTAX_ISSUE_COUNT_MAX = 20;

/** Comparisons of names made to find what mistyped ones meant; after that no more hints. Units: pairs of names. */
export const NAME_COMPARISON_COUNT_MAX = 300_000;

/** Proxy groups in a configuration; they may be nested as deep as they are many. Units: groups. */
export const PROXY_GROUP_COUNT_MAX = 1_024;

/** Time that the system's resolver gets for one host. Units: ms. Source: mihomo tunnel `match`, 5 s. */
export const SYSTEM_RESOLVE_TIMEOUT_MS = 5_000;

/** Longest name of a proxy or a group: names meet the user's regular expressions. Units: UTF-16 code units. */
export const PROXY_NAME_LENGTH_MAX = 256;

/** DNS-over-TCP conversations whose answers are read at once; more go unread. */
export const DNS_TCP_STREAM_COUNT_MAX = 256;

// ── policy scripts ───────────────────────────────────────────────────────────────────────────────────────────────

/** Files of one policy, the script itself included. Units: files. */
export const POLICY_FILES_MAX = 256;

/** Largest file of a policy. Units: bytes. */
export const POLICY_FILE_BYTES_MAX = 1 << 20;

/** All files of one policy together. Units: bytes. */
export const POLICY_TOTAL_BYTES_MAX = 8 << 20;

/** Rules that one policy may make; longer lists belong into a rule-provider. Units: rules. */
export const POLICY_RULES_MAX = 20_000;

/** Longest rule that a policy may make. Units: UTF-16 code units. */
export const POLICY_RULE_LENGTH_MAX = 65_536;

/** Questions that wait for a policy's answer at once; what comes on top is decided by the rules. Units: calls. */
export const POLICY_CALLS_IN_FLIGHT_MAX = 4_096;

/** Longest target name in a policy's answer. Units: UTF-16 code units. */
export const POLICY_TARGET_LENGTH_MAX = 256;

/** Time that a policy has for one answer, if nothing else is asked for. Units: ms; a TCP sender repeats its SYN after 1,000. */
export const POLICY_DEADLINE_MS = 500;

/** Time that a policy has to load. Units: ms. */
export const POLICY_LOAD_DEADLINE_MS = 5_000;

/** Hangs in a row after which a policy is asked no more until it changes. Units: hangs. */
export const POLICY_HANGS_MAX = 3;

/** Missed deadlines, less one for every POLICY_FORGIVING_ANSWERS good answers, after which a policy is asked no more until it changes: flows would
 * wait for it again and again. */
export const POLICY_MISSES_MAX = 10;

/** Good answers that make up for one missed deadline. */
export const POLICY_FORGIVING_ANSWERS = 100;

/** Memory that a policy's worker may hold, looked at between two calls. Units: bytes. */
export const POLICY_HEAP_BYTES_MAX = 256 << 20;

/** Lines that a policy may log per call, and while it loads. Units: lines. */
export const POLICY_LOG_LINES_MAX = 100;

/** Longest text that a policy hands over in one log line, error or stack. Units: UTF-16 code units. */
export const POLICY_TEXT_LENGTH_MAX = 8_192;

/** Messages that a policy's worker may send without having been asked, before it counts as broken. Units: messages. */
export const POLICY_GARBAGE_MESSAGES_MAX = 100;

/** Different mistakes of one policy that are told while it runs. Units: issues. */
export const POLICY_ISSUES_MAX = 100;

/** How often the files of a policy are looked at. Units: ms. */
export const POLICY_WATCH_INTERVAL_MS = 500;

// ── decide ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Longest rule line. Units: characters. The longest seen in public lists is under 2,000; longer ones only cost memory. */
export const RULE_CHARS_MAX = 65_536;

/** Deepest nesting of AND, OR and NOT, and of sub-rules: what recursion may cost. */
export const RULE_DEPTH_MAX = 32;

/** Groups within groups. */
export const GROUP_DEPTH_MAX = 32;

/** Proxies in a row, through relays and groups. */
export const CHAIN_COUNT_MAX = 64;

/** Ranges in one port, DSCP or UID rule. Source: mihomo common/utils/ranges.go. */
export const RULE_RANGE_COUNT_MAX = 28;

/** Longest regular expression in a rule. Units: characters. */
export const PATTERN_CHARS_MAX = 1_024;

/** Largest program that RE2 may make of one regular expression, so that a list of strangers cannot eat the memory. Units: instructions. */
export const PATTERN_INSTRUCTION_COUNT_MAX = 5_000;

/** Longest name or path that a regular expression is run over; longer ones are cut. Units: characters. Source: PATH_MAX of Linux. */
export const PATTERN_SUBJECT_CHARS_MAX = 4_096;

/** Largest rule-provider file. Units: characters. */
export const PROVIDER_CHARS_MAX = 64 * 1024 * 1024;

/** Largest rule-provider in an unusual YAML form, which the slow parser has to read. Units: characters. */
export const PROVIDER_SLOW_CHARS_MAX = 4 * 1024 * 1024;

/** Longest name in lists with wildcards. Units: characters. RFC 1035 section 3.1 allows 253; the rest is room for patterns and Unicode. */
export const DOMAIN_CHARS_MAX = 1_024;

/** Slots that one probe of a table of names looks at; a fair list needs under 60, a list made to collide would need all. */
export const DOMAIN_PROBE_COUNT_MAX = 256;

/** Mistakes reported of one rule-provider; the rest is only counted. */
export const PROVIDER_ISSUE_COUNT_MAX = 50;

/** Steps from alias to alias in the hosts table. Source: RFC 1034 section 3.6.2 asks for loops to be caught; resolvers follow 8 to 16. */
export const HOSTS_ALIAS_COUNT_MAX = 16;

/** Largest .mmdb or .dat database. Units: bytes. The largest public one is under 100 MB. */
export const GEO_DATABASE_BYTES_MAX = 512 * 1024 * 1024;

/** Pointers followed in one .mmdb record; real country records have under 40. */
export const GEO_POINTER_COUNT_MAX = 1_000;

/** Domains in one code of the site database; the largest public one has 120,000. */
export const GEOSITE_DOMAIN_COUNT_MAX = 4_000_000;

/** Parts of names in one code, which are tried one by one; public lists have under 300. */
export const GEOSITE_KEYWORD_COUNT_MAX = 4_096;

/** Regular expressions in one code, which are tried one by one; public lists have under 300. */
export const GEOSITE_PATTERN_COUNT_MAX = 1_024;

/** Addresses of one name that are taken from a resolver; an answer with more is not believed. */
export const RESOLVED_ADDRESS_COUNT_MAX = 256;

// ── reports ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Flows in the report page's table; the pictures count all of them. A browser sorts so many in under a second. */
export const REPORT_FLOWS_MAX = 50_000;

/** Explanation steps of one flow that the page lists: the first ones and the last. */
export const REPORT_STEPS_PER_FLOW_MAX = 200;

/** Explanation steps on the whole page; later flows go without. */
export const REPORT_STEPS_MAX = 2_000_000;

/** Rules that the page lists with their hits, and how many of those without a hit. */
export const REPORT_RULES_MAX = 500;

/** Captures that the page lists. */
export const REPORT_CAPTURES_MAX = 500;

/** Flows of a capture whose process is remembered. */
export const PROCESS_INDEX_COUNT_MAX = 262_144;

/** Addresses that are remembered to tell outbound from inbound in a capture that does not say. */
export const FILTER_PEER_COUNT_MAX = 65_536;

// ── replay: streams followed to their end ────────────────────────────────────────────────────────────────────────

/** Bytes of one direction that wait behind a hole: as much as a fast path has in flight. Overflow: the hole is given up. */
export const STREAM_FOLLOW_BYTES_MAX = 4 << 20;

/** Pieces that wait behind holes of one direction. Overflow: the first hole is given up. */
export const STREAM_FOLLOW_PIECES_MAX = 4_096;

/** The largest window TCP knows; what lies further ahead is of another connection. Source: RFC 7323 section 2.3. */
export const STREAM_WINDOW_BYTES_MAX = 1 << 30;

// ── stack: what stands around TCP (core/stack) ───────────────────────────────────────────────────────────────────

/** TCP connections of one stack, flows that wait for their owner's decision included; a power of two. As many as flows. */
export const STACK_CONNECTION_COUNT_MAX = 65_536;

/** TCP flows that wait for their decision or whose handshake is not complete; from there on SYN cookies answer. Units: flows. */
export const STACK_HALF_OPEN_COUNT_MAX = 4_096;

/** A flow that nobody decides is forgotten after this, as its SYN is then no longer repeated. Units: µs. Reason: six retransmitted SYNs take 127 s. */
export const STACK_PENDING_US = 130_000_000;

/** Connections that a listener keeps for `accept()`. Units: connections. Source: SOMAXCONN of Linux 5.4 and later. */
export const STACK_LISTEN_BACKLOG_MAX = 4_096;

/** Listeners of one stack; they are searched one after another, once a SYN. */
export const STACK_LISTENER_COUNT_MAX = 256;

/** Connections in TIME-WAIT; the oldest makes room. Units: connections. Reason: 3 KB each, and what comes late on our side of a device is late by µs. */
export const STACK_TIME_WAIT_COUNT_MAX = 4_096;

/** Timers that one poll runs; the rest waits for the next, which is due at once. Units: timers. */
export const STACK_TIMERS_PER_POLL_MAX = 4_096;

/** UDP sources with an endpoint; a power of two. The one longest idle makes room. Units: endpoints. */
export const STACK_UDP_ENDPOINT_COUNT_MAX = 16_384;

/** Datagrams that wait at one UDP endpoint for their host. Units: bytes with 32 for each header; Linux's rmem_default is 212,992. */
export const STACK_UDP_QUEUE_BYTES_MAX = 262_144;

/** Datagrams that wait at all UDP endpoints together. Units: bytes as above. */
export const STACK_UDP_QUEUE_BYTES_TOTAL_MAX = 64 * 1_048_576;

/** ICMP errors sent in a second, and how many at once. Source: Linux icmp_msgs_per_sec, icmp_msgs_burst. */
export const STACK_ICMP_PER_SECOND_MAX = 1_000;
export const STACK_ICMP_BURST_MAX = 50;

/** Resets for segments of no connection in a second, and how many at once. Reason: a restarted weir resets every old connection of a machine. */
export const STACK_RESETS_PER_SECOND_MAX = 1_000;
export const STACK_RESETS_BURST_MAX = 1_000;

/** How long one SYN-cookie secret is used; an ACK may answer the present one or the one before. Units: µs. Source: FreeBSD renews every 15 s. */
export const SYN_COOKIE_EPOCH_US = 15_000_000;

/** Smallest path MTU that an ICMPv4 message can bring about. Units: bytes. Source: Linux min_pmtu 552; RFC 791 demands 68. */
export const PATH_MTU_V4_MIN = 552;

/** Smallest MTU of an IPv6 link. Units: bytes. Source: RFC 8200 section 5. */
export const PATH_MTU_V6_MIN = 1_280;

/** How long a path MTU that ICMP brought about holds. Units: µs. Source: RFC 1191 section 6.3, RFC 8201 section 4 (10 min). */
export const PATH_MTU_AGE_US = 600_000_000;

/** Paths whose MTU is remembered for connections to come; a power of two. The one that was learned first makes room. Units: addresses. */
export const PATH_MTU_COUNT_MAX = 1_024;

/** Bytes that a stack may answer strangers with beyond what strangers sent. Units: bytes; 270 repeated SYN-ACKs. */
export const STACK_CREDIT_BYTES = 16_384;

/** Bytes received from strangers that may be saved up for answers. Units: bytes. Reason: what was saved leaves at once in the worst case. */
export const STACK_CREDIT_BYTES_MAX = 65_536;

/** Answers to packets that a rule refuses in a second, and how many at once. Reason: as of STACK_RESETS_PER_SECOND_MAX. */
export const REFUSALS_PER_SECOND_MAX = 1_000;
export const REFUSALS_BURST_MAX = 1_000;

// ── wrappers around adapters ─────────────────────────────────────────────────────────────────────────────────────

/** Packets that wait in one direction of a fault adapter: 200 ms of 15 Mbit/s. Overflow: lost and counted. Units: packets. */
export const FAULT_QUEUE_PACKETS_MAX = 256;

/** Packets that a fault adapter takes from its device at once, beyond those that wait. Units: packets. */
export const FAULT_BATCH_PACKETS_MAX = 64;

/** Packets that a trace remembers; the oldest is forgotten. Units: packets. */
export const TRACE_PACKETS_MAX = 64;

/** What a trace keeps of a packet: an IPv6 header and the longest TCP header. Units: bytes. */
export const TRACE_PACKET_BYTES_MAX = 100;

// ── stack: TCP connections ───────────────────────────────────────────────────────────────────────────────────────

/** Smallest memory of a ring of bytes. Units: bytes. */
export const RING_BYTES_MIN = 2_048;

/** Memory of rings that is kept for the next connection when one lets go of it. Units: bytes. */
export const BUFFER_POOL_KEPT_BYTES_MAX = 64 * 1_048_576;

/** Largest send or receive buffer of a connection. Units: bytes. Source: RFC 7323 section 2.3 bounds the window at 1 GiB. */
export const TCP_BUFFER_BYTES_MAX = 64 * 1_048_576;

/** Segments of one connection that may be unacknowledged; more data waits. 16,384 segments of 1,460 bytes are 24 MB in flight. */
export const TCP_SEGMENTS_IN_FLIGHT_MAX = 16_384;

/** Stretches of out-of-order bytes that one connection keeps; a segment that would make one more is dropped, and will be sent again. */
export const TCP_REASSEMBLY_RANGE_COUNT_MAX = 128;

/** Smallest MSS that is believed; a smaller one would make a sender of headers out of us. Units: bytes. Source: RFC 9293 section 3.7.1 (536), Linux `tcp_min_snd_mss` (48). */
export const TCP_MSS_MIN = 48;

/** Segments that one event may send, so that one connection does not hold the engine. */
export const TCP_BURST_SEGMENTS_MAX = 1_024;

// ── sim/packetdrill ──────────────────────────────────────────────────────────────────────────────────────────────

/** Longest packetdrill script. Units: characters; the longest public one has 60,000. */
export const SCRIPT_BYTES_MAX = 1 << 20;

/** Tokens of one packetdrill script. */
export const SCRIPT_TOKENS_MAX = 200_000;

/** Nesting of brackets in a packetdrill script: what recursion may cost. */
export const SCRIPT_DEPTH_MAX = 32;

/** Virtual time that one packetdrill script may take. Units: µs. Reason: keep-alive scripts wait for hours. */
export const SCRIPT_TIME_US_MAX = 7 * 86_400 * 1_000_000;

/** Timers of the stack that one packetdrill script may live through. */
export const SCRIPT_STEPS_MAX = 200_000;

/** Packets of the stack that wait for the script to expect them. */
export const SCRIPT_PACKETS_MAX = 65_536;

/** Largest argument of a read or write in a packetdrill script. Units: bytes. */
export const SCRIPT_CALL_BYTES_MAX = 64 << 20;

/** Sockets of one packetdrill script. */
export const SCRIPT_SOCKETS_MAX = 1_024;

/** Scripts that one command line runs. */
export const SCRIPT_FILES_MAX = 20_000;

// ── sim/world ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Packets that wait at a link's end for their host. Overflow: lost and counted. Units: packets. */
export const WORLD_INBOX_PACKETS_MAX = 1_024;

/** Events of one simulated run; more mean that two sides excite each other for ever. Units: events. */
export const WORLD_STEPS_MAX = 400_000;

/** Time that everything gets to finish once the faults of a simulated run are healed. Units: µs (30 min, virtual). */
export const WORLD_LIVENESS_US = 1_800 * 1_000_000;

/** Runs of one command line. Units: runs. */
export const SIMULATE_RUNS_MAX = 10_000_000;

/** Failures that a simulation lists; more are only counted. */
export const SIMULATE_FAILURES_MAX = 1_000;

// ── Linux TUN ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Segments of one batch that one ACK answers: as many full ones as a device joins at most. Units: segments. */
export const TCP_BATCH_ACK_SEGMENTS_MAX = 44;

/** Packets that a TUN device hands over in one `receive`: about 1 ms of work, after which sockets and timers get their turn. */
export const TUN_BATCH_PACKETS_MAX = 128;

/** Slots that a TUN device leaves free, so that answers can be built while the rest waits; an eighth of a small arena. A USO packet brings up to 128. */
export const TUN_SLOTS_RESERVED = 256;

/** Closed descriptor numbers in a row after which no more are expected above: numbers are given out from below. */
export const DESCRIPTOR_GAP_MAX = 256;

/** Packets that the kernel queues before the TUN device; one more is lost. The usual 500 is 0.75 MB, less than one window. */
export const TUN_QUEUE_PACKETS = 4_096;

// ── host: live sockets ───────────────────────────────────────────────────────────────────────────────────────────

/** First buffer of one direction of a relay; it doubles whenever a read fills it. Units: bytes. Reason: most connections are silent, 10,000 of them are live. */
export const RELAY_BUFFER_BYTES_MIN = 4_096;

/** Buffers of relays that are kept for the next one. Units: bytes. */
export const RELAY_BUFFERS_KEPT_BYTES_MAX = 8 * 1_048_576;

/** Largest buffer of one direction of a relay; larger reads are no faster. Units: bytes. */
export const RELAY_BUFFER_BYTES_MAX = 262_144;

/** A relay of which one side has closed ends when the other is silent for this long. Units: µs. Source: Linux conntrack, nf_conntrack_tcp_timeout_close_wait ×10. */
export const RELAY_HALF_CLOSED_IDLE_US = 600_000_000;

/** How often relays are looked at for idleness. Units: µs. */
export const RELAY_SWEEP_US = 10_000_000;

/** Time that a DIRECT connection has to be established. Units: ms. Reason: four SYNs, sent after 0, 1, 3 and 7 s. */
export const DIAL_TIMEOUT_MS = 15_000;

/** Connections that are being established at once; one more counts as unreachable. */
export const DIAL_COUNT_MAX = 4_096;

/** Host sockets for UDP sources at once; one more takes the place of the one that was opened first. */
export const UDP_RELAY_SOCKET_COUNT_MAX = 4_096;

/** Datagrams of one source that wait for its host socket; more are lost. Reason: QUIC sends its first window of 10 to 32 at once, DNS far fewer. */
export const UDP_RELAY_WAITING_COUNT_MAX = 256;

/** Turns of the engine in a row before sockets and timers get theirs. Units: calls of `poll`. */
export const RUN_POLLS_PER_TURN_MAX = 4;

/** Packets that one call of `poll` takes in, the device's batch and what a split datagram adds. Units: packets. */
export const RUN_PACKETS_PER_POLL_MAX = 256;

/** Longest time that the live loop sleeps although no timer is due. Units: ms. */
export const RUN_SLEEP_MS_MAX = 1_000;

// ── sim/live_play ────────────────────────────────────────────────────────────────────────────────────────────────

/** Flows that are played at once; more are not played, and the report says so. */
export const LIVE_PLAY_FLOWS_MAX = 1_024;

/** Bytes of one stream that wait to be compared or sent. Overflow: the flow is not played further. Units: bytes. */
export const LIVE_PLAY_STREAM_BYTES_MAX = 64 << 20;

/** Packets of a flow that wait for its verdict. Overflow: the flow is not played. Units: packets. */
export const LIVE_PLAY_WAITING_PACKETS_MAX = 1_024;

/** Time stamps of a captured server that are remembered with the stack's own. */
export const LIVE_PLAY_TIMESTAMPS_MAX = 4_096;

/** Timers of the stack that run between two captured packets of a flow. */
export const LIVE_PLAY_TIMERS_MAX = 10_000;

// ── drivers ──────────────────────────────────────────────────────────────────

/** Largest driver library that is read or unpacked. Units: bytes; the real ones have less than one megabyte. */
export const DRIVER_BYTES_MAX = 16 << 20;

// ── processes (core/host/process_lookup, ffi/linux) ──────────────────────────────────────────────────────────────

/** Flows whose process is remembered; the oldest is forgotten. Reason: an answer serves the questions about one flow, which follow each other closely. */
export const PROCESS_CACHE_COUNT_MAX = 4_096;

/** How long the owner of a UDP socket serves another flow of the same addresses and ports. Units: µs. Reason: a port may belong to somebody else soon. */
export const PROCESS_UDP_FRESH_US = 1_000_000;

/** How long a flow whose process was not found is not looked up again. Units: µs. */
export const PROCESS_MISS_FRESH_US = 200_000;

/** Links of open files that one search for a socket's holder reads. Units: links, 1 µs each. Reason: the packets of all flows wait meanwhile. */
export const PROCESS_SCAN_LINKS_MAX = 50_000;

/** Processes that one search for a socket's holder looks into. */
export const PROCESS_SCAN_COUNT_MAX = 32_768;

/** Sockets whose holder is remembered, each checked again before it is believed. */
export const PROCESS_SOCKET_COUNT_MAX = 4_096;

/** Processes that had a socket last, which are searched first. */
export const PROCESS_RECENT_COUNT_MAX = 8;

/** File numbers above its last socket at which a process is looked at first, 2 µs each. */
export const PROCESS_NEAR_COUNT = 8;

/** Processes whose description is remembered. */
export const PROCESS_DESCRIPTION_COUNT_MAX = 1_024;

/** Addresses of which it is remembered whether they are this machine's, and for how long. Units: addresses, ms. */
export const PROCESS_ADDRESS_COUNT_MAX = 1_024;
export const PROCESS_ADDRESS_FRESH_MS = 1_000;

/** Lists of sockets that are asked for in 100 ms, 250 µs each. Reason: packets with made-up ports must not cost more than a twentieth of the time. */
export const PROCESS_LISTS_PER_100_MS_MAX = 20;

/** Bytes read of a file that describes a process or its user. Units: bytes. */
export const PROCESS_FILE_BYTES_MAX = 1 << 20;

/** How often the list of users is read again for a user that it did not have. Units: µs. */
export const USER_LIST_FRESH_US = 10_000_000;

// ── outbound ─────────────────────────────────────────────────────────────────

/** Largest head of an HTTP proxy's or WebSocket server's answer. Overflow: the tunnel fails. Units: bytes. */
export const HTTP_ANSWER_BYTES_MAX = 16_384;

// ── packet programs ──────────────────────────────────────────────────────────

/** Steps of one packet program. */
export const PROGRAM_STEPS_MAX = 16;

/** Different packet programs that an engine runs; flows of one more have none. */
export const PROGRAM_COUNT_MAX = 1_024;

/** Different programs that the answers of one policy may spell out; names under weir.programs do not count. */
export const POLICY_PROGRAMS_MAX = 256;

/** Addresses in one answer of a policy's onDns: what fits a datagram comfortably. */
export const POLICY_DNS_ADDRESSES_MAX = 64;

/** Name servers that one answer of onDns may choose; all of them are asked at once. */
export const POLICY_DNS_SERVERS_MAX = 16;

/** What an answer of onDns lives when it does not say. Reason: as long as an answer of the hosts table in mihomo. Units: s. */
export const POLICY_DNS_TTL_S = 10;

/** Longest life of an answer of onDns: a day, as mihomo allows for fake-ip-ttl. Units: s. */
export const POLICY_DNS_TTL_S_MAX = 86_400;

/** Different choices of name servers, of a policy's onDns, that keep a resolver with its cache; the one unused for longest goes first. */
export const POLICY_DNS_UPSTREAMS_MAX = 64;

/** Copies of one packet that may leave, itself included, whatever the steps multiply to. Reason: net-speeder sends 2; more than 10 is a flood. */
export const PROGRAM_COPIES_MAX = 10;

/** Packets that programs hold back at once, half of the arena; one more is lost and counted. Units: packets. */
export const PROGRAM_HELD_PACKETS_MAX = 512;

/** Longest delay, jitter or holding back that a step may ask for. Units: µs; more than TCP's first retransmission timeouts makes no sense. */
export const PROGRAM_DELAY_US_MAX = 10_000_000;

/** Most packets that may overtake one that is held back. Units: packets. */
export const PROGRAM_REORDER_DISTANCE_MAX = 64;

/** Packets that one step holds back for others to overtake, in one direction; one more is not held back. Units: packets. */
export const PROGRAM_REORDER_WAITING_MAX = 16;

/** A packet that waits to be overtaken goes on after this time at the latest. Units: µs; a sender's own retransmission comes after 200 ms. */
export const PROGRAM_REORDER_WAIT_US = 100_000;

/** Highest rate of a throttle or a ceiling. Units: bytes per second: 100 Gbit/s. */
export const PROGRAM_RATE_BYTES_MAX = 12_500_000_000;

/** Largest burst and largest queue of a throttle. Units: bytes; all held packets together. */
export const PROGRAM_QUEUE_BYTES_MAX = 32 << 20;

/** Longest filter of a step. Units: UTF-16 code units; WinDivert's own objects are shorter. */
export const PROGRAM_FILTER_LENGTH_MAX = 8_192;

/** Signs of loss after which an adaptive step duplicates. Units: signs; a packet sent again counts 2, a hole reported by SACK 1. */
export const PROGRAM_LOSS_SIGNS = 2;

/** Signs of loss count as long as the first of them is no older. Units: µs. */
export const PROGRAM_LOSS_WINDOW_US = 2_000_000;

/** An adaptive step stops duplicating when a host has shown no loss for so long. Units: µs; covers several round trips of any path. */
export const PROGRAM_LOSS_QUIET_US = 5_000_000;

/** Hosts and flows that an adaptive step remembers, a power of two; the older one of two that fall on one place is forgotten. */
export const PROGRAM_LOSS_HOSTS = 1_024;
export const PROGRAM_LOSS_FLOWS = 4_096;

// ── Windows (ffi/win32, ffi/wintun, ffi/iphlpapi, core/host/journal) ─────────────────────────────────────────────

/** Bytes of services that are read at once. Units: bytes. Source: EnumServicesStatusExW, remarks on cbBufSize (256 KiB is the most it fills). */
export const SERVICE_LIST_BYTES_MAX = 256 << 10;

/** Accounts whose names are remembered; further ones are called by their SID. */
export const USER_NAMES_MAX = 256;

/** How far the clocks of a Shadowsocks 2022 server and this machine may differ. Units: s. Source: SIP022 section 3.1.3. */
export const SHADOWSOCKS_CLOCK_SKEW_S = 30;

/** Salts of datagrams that are remembered per association against replays. Overflow: the oldest is forgotten. */
export const SHADOWSOCKS_SALTS_MAX = 4_096;

/** Sessions of a server that one association follows at once: one, and those before a restart. Overflow: the oldest is forgotten. */
export const SHADOWSOCKS_SESSIONS_MAX = 4;

// ── Rewritten connections (core/act/nat_table, core/act/translate, core/host/system_listener) ────────────────────

/** Connections whose headers are rewritten, a power of two; a listener's peer has some 60,000 ports. Overflow: the one that means least dies, counted. */
export const NAT_ENTRY_COUNT_MAX = 32_768;

/** First port that stands for an application's connection towards our listener; those below are for well-known services. */
export const NAT_PORT_MIN = 1_024;

/** How many ports are tried for a connection whose own port is taken. Overflow: the connection is refused. */
export const NAT_PORT_TRIES_MAX = 64;

/** How long a connection that was closed on both sides is remembered. Units: µs; 2 MSL, the longest TIME-WAIT of Windows and Linux. */
export const NAT_TIME_WAIT_US = 120_000_000;

/** How long a connection of which both sides sent their FIN may wait for the last acknowledgment. Units: µs. */
export const NAT_CLOSING_IDLE_US = 600_000_000;

/** How long a connection is remembered after a reset, so that what was under way still finds it. Units: µs. */
export const NAT_BROKEN_US = 10_000_000;

/** Longest SYN that is kept while the far side is being dialed. Units: bytes; options fill 60, data of TCP Fast Open one segment. */
export const NAT_SYN_BYTES_MAX = 2_048;

/** How long an accepted connection may take to appear after its SYN was let through. Units: ms; Linux repeats a SYN-ACK for 63 s. */
export const NAT_ACCEPT_TIMEOUT_MS = 65_000;

/** Connections that our listener accepted and that nobody asked for yet. Overflow: the new one is closed. */
export const NAT_ACCEPTED_WAITING_MAX = 4_096;

/** Bytes of each of an adapter's two rings. Units: bytes, a power of two. Reason: 8 MiB hold 60 ms of 1 Gbit/s. */
export const WINTUN_RING_BYTES = 8 << 20;

/** How long a full arena waits before the ring is looked at again. Units: ms. Reason: only packets that come to an empty ring are announced. */
export const WINTUN_FULL_ARENA_WAIT_MS = 1;

// ── ffi/windivert ────────────────────────────────────────────────────────────────────────────────────────────────

/** Packets that one call of WinDivert takes or gives. Source: windivert.h WINDIVERT_BATCH_MAX. */
export const DIVERT_BATCH_PACKETS_MAX = 255;

/** Packets that one `receive` takes of them. Units: packets. Reason: 255 slots at once are too many for the caches, which costs a third of the rate. */
export const DIVERT_RECEIVE_PACKETS_MAX = 64;

/** Read requests that wait in the driver at once: while one is worked through, the others fill. */
export const DIVERT_REQUEST_COUNT = 4;

/** Packet bytes of one read request: 255 packets of 1,500 bytes and some larger ones. Units: bytes. Reason: the driver locks these pages at each call. */
export const DIVERT_REQUEST_BYTES = 512 << 10;

/** Batches of sent packets that the driver may have at once. Overflow: the packet is lost, `send` says so. Reason: each is done within microseconds. */
export const DIVERT_SEND_BUFFER_COUNT = 8;

/** Packet bytes of one batch that is sent. Units: bytes. */
export const DIVERT_SEND_BYTES = 512 << 10;

/** Read requests that wait for flow and socket events, and events that one receive takes in. */
export const DIVERT_EVENT_REQUEST_COUNT = 2;
export const DIVERT_EVENT_BATCHES_MAX = 16;

/** The driver's own queue; what overflows it, or grows older, is lost. Source: windivert.h, the largest values; time is its default. */
export const DIVERT_QUEUE_PACKETS = 16_384;
export const DIVERT_QUEUE_TIME_MS = 2_000;
export const DIVERT_QUEUE_BYTES = 32 << 20;

/** Local addresses whose interface is remembered; the oldest is forgotten. */
export const DIVERT_INTERFACE_COUNT_MAX = 1_024;

/** Failed reads in a row after which the driver counts as gone. */
export const DIVERT_ERROR_COUNT_MAX = 16;

/** Sockets and flows whose process is remembered; the oldest is forgotten, and the system's tables are asked. */
export const DIVERT_ENDPOINT_COUNT_MAX = 32_768;

/** How long a closed socket still names the process of packets that it sent before. Units: µs. Reason: the driver's queue is at most 2 s long. */
export const DIVERT_ENDPOINT_ENDED_US = 2_000_000;

/** Time that closing waits for the driver's queue to run empty and for sent packets to be gone. Units: ms. */
export const DIVERT_CLOSE_MS_MAX = 250;

// ── NFQUEUE (ffi/linux/nfqueue) ──────────────────────────────────────────────────────────────────────────────────

/** Messages that one call takes from the kernel. */
export const NFQUEUE_MESSAGES_PER_CALL = 32;

/** Packets that one `receive` takes in, those that are let pass at once included. */
export const NFQUEUE_BATCH_PACKETS_MAX = 256;

/** Room for one message: the largest packet and what stands around it. Units: bytes. Source: linux/netfilter/nfnetlink_queue.h (attributes of 16 bits). */
export const NFQUEUE_MESSAGE_BYTES = 66_048;

/** Largest packet that the kernel hands over whole. Units: bytes. Source: linux/net/netfilter/nfnetlink_queue.c (NFQNL_MAX_COPY_RANGE, 65,535 − 4). */
export const NFQUEUE_PACKET_BYTES_MAX = 65_531;

/** Packets that the kernel keeps while they wait for a verdict; one more is lost, as in WinDivert's queue. Source: WinDivert's largest queue. */
export const NFQUEUE_LENGTH = 16_384;

/** Buffer between the kernel and weir, and of weir's own packets. Units: bytes. Reason: 16,384 packets of 1,500 bytes as the kernel counts them. */
export const NFQUEUE_BUFFER_BYTES = 64 << 20;

/** Slots left free when packets are taken in, so that answers can be made. Units: slots; an eighth of a small arena. */
export const NFQUEUE_SLOTS_RESERVED = 256;

/** Verdicts that are sent together. */
export const NFQUEUE_VERDICTS_PER_CALL = 128;

/** Queue numbers that are tried, from the first one on. */
export const NFQUEUE_NUMBERS_TRIED = 64;

/** Alternatives of a filter that become rules of iptables; with more, all packets of the direction are handed over. */
export const NFQUEUE_ALTERNATIVES_MAX = 24;

/** Payload of a WebSocket control frame. Overflow: the tunnel fails. Units: bytes. Source: RFC 6455 section 5.5. */
export const WEBSOCKET_CONTROL_BYTES_MAX = 125;

/** Bytes that a proxied stream reads from its server at once. Units: bytes. */
export const TUNNEL_READ_BYTES = 65_536;

/** Room for a table of sockets at first, and at most. Units: bytes; 56 a row at most. */
export const SOCKET_TABLE_BYTES_FIRST = 64 << 10;
export const SOCKET_TABLE_BYTES_MAX = 64 << 20;

/** Times that a table of sockets is asked for while it grows. */
export const SOCKET_TABLE_READS_MAX = 8;

/** Times in one turn that tables are read anew for a flow that is not in them; then only tables of that age are. Units: times; µs. Reason: 0.4 ms each. */
export const SOCKET_TABLE_REREADS_MAX = 16;
export const SOCKET_TABLE_FRESH_US = 2_000;

/** How often the list of services is read again for a process that it did not have. Units: µs. */
export const SERVICES_FRESH_US = 1_000_000;

/** Changes of the system that weir may have made at one time, and the bytes of a journal of them. Units: steps; bytes. Reason: a route each. */
export const JOURNAL_STEPS_MAX = 8_192;
export const JOURNAL_BYTES_MAX = 8 << 20;

/** Routes into one device. Reason: many excludes cut the address space into many blocks, and each is a route of the system. */
export const TUNNEL_ROUTES_MAX = 4_096;

/** How long a new adapter may take until Windows' network knows it. Units: ms. */
export const INTERFACE_WAIT_MS_MAX = 10_000;

/** How often the machine's own way out is looked at. Units: ms. */
export const INTERFACE_POLL_MS = 3_000;

/** How long a TLS handshake with a proxy may take. Overflow: the connection fails. Units: ms. */
export const TLS_HANDSHAKE_MS_MAX = 10_000;

/** How long a proxy server may take to agree to a connection. Units: ms. Reason: it dials the destination meanwhile. */
export const TUNNEL_OPEN_MS_MAX = 10_000;

/** Proxies that one connection may go through. Overflow: it fails. */
export const DIALER_CHAIN_MAX = 8;

/** Tunnels that one source's datagrams have at once, where each destination needs its own. Overflow: the oldest is closed. */
export const DATAGRAM_TUNNELS_MAX = 64;

// ── record (core/cli/record) ─────────────────────────────────────────────────────────────────────────────────────

/** Longest recording that one command line may ask for. Units: s (a year). */
export const RECORD_SECONDS_MAX = 31_536_000;

/** Most packets that one command line may ask for. Units: packets. */
export const RECORD_PACKETS_MAX = 1e15;

/** How long a recording sleeps when no packet comes. Units: µs. */
export const RECORD_IDLE_US = 1_000_000;

/** Rows of the system's tables of addresses and routes that are looked at. */
export const SYSTEM_TABLE_ROWS_MAX = 65_536;

/** How often the machine's own addresses are read again for an address that is none of them. Units: µs. */
export const ADDRESSES_FRESH_US = 1_000_000;

// ── dns ──────────────────────────────────────────────────────────────────────

/** Longest name in a question. Units: characters. Source: RFC 1035 section 2.3.4. */
export const DNS_NAME_LENGTH_MAX = 253;

/** Longest answer that an asker without EDNS takes in one datagram. Units: bytes. Source: RFC 1035 section 4.2.1. */
export const DNS_UDP_BYTES_DEFAULT = 512;

/** Longest answer that weir sends or asks for in one datagram, so that none is fragmented. Units: bytes. Source: DNS flag day 2020. */
export const DNS_UDP_BYTES_MAX = 1_232;

/** Longest message over a stream. Units: bytes. Source: RFC 1035 section 4.2.2. */
export const DNS_MESSAGE_BYTES_MAX = 65_535;

/** Names that have a fake address at once. Overflow: the one used longest ago loses it. */
export const FAKE_IP_NAMES_MAX = 65_536;

/** Answers that are kept unless the configuration says otherwise. Overflow: the one used longest ago goes. Source: mihomo (4096). */
export const DNS_CACHE_COUNT = 4_096;

/** Longest time that an answer is believed. Units: s. */
export const DNS_CACHE_TTL_S_MAX = 86_400;

/** Longest time that "there is none" is believed. Units: s. Source: RFC 2308 section 5. */
export const DNS_NEGATIVE_TTL_S_MAX = 3_600;

/** How long a failure is remembered. Units: s. Source: mihomo dns/util.go; RFC 2308 section 7.1 allows 300. */
export const DNS_FAILURE_TTL_S = 5;

/** How long an answer helps after its time. Units: s. Source: RFC 8767 section 5 (1 to 3 days). */
export const DNS_CACHE_STALE_S_MAX = 86_400;

// ── config: the derived filter ───────────────────────────────────────────────────────────────────────────────────

/** How deep regions of packets may be nested. Overflow: everything is diverted. Reason: each change between rules that touch and rules that do not nests once. */
export const DIVERT_REGION_DEPTH_MAX = 64;

/** Tests that one network's part of a derived filter may have at first. Overflow: the filter takes in more than it needs. Source: less than `FILTER_TESTS_MAX`. */
export const DIVERT_FILTER_TESTS_MAX = 220;

/** Proxies whose own way is left out of a derived filter; weir's connections to others are let through one by one. */
export const DIVERT_FILTER_PROXIES_MAX = 16;

/** Rules that the explanation of a derived filter names. */
export const DIVERT_FILTER_REASONS_MAX = 20;

/** How long one name server is waited for. Overflow: it counts as silent. Units: µs. */
export const DNS_EXCHANGE_US = 2_000_000;

/** How often the servers of a group are asked when none says anything. Source: mihomo dns/util.go (3). */
export const DNS_ATTEMPTS_MAX = 3;

/** Lookups under way at once. Overflow: further ones fail. */
export const DNS_LOOKUPS_MAX = 4_096;

/** Askers that wait for one lookup. Overflow: further ones get a failure. */
export const DNS_WAITERS_MAX = 1_024;

/** TTL of answers from the hosts table. Units: s. Source: mihomo dns/middleware.go. */
export const DNS_HOSTS_TTL_S = 10;

/** Addresses whose names are remembered in mode redir-host. Overflow: the oldest is forgotten. Source: mihomo (4096). */
export const DNS_MAPPINGS_MAX = 4_096;

/** Connections to one name server that are kept for the next question. Overflow: closed. */
export const DNS_CONNECTIONS_IDLE_MAX = 4;

/** How long a connection to a name server is kept unused. Units: ms. Source: RFC 7766 section 6.2.3 (seconds). */
export const DNS_CONNECTION_IDLE_MS = 10_000;

/** How long a stream of questions may be silent. Overflow: it is closed. Units: ms. Source: mihomo listener/sing_tun/dns.go (10 s). */
export const DNS_STREAM_IDLE_MS = 10_000;

/** Channels for datagrams through proxies at once. Overflow: the oldest is closed. */
export const UDP_CHANNEL_COUNT_MAX = 1_024;

/** Peers of one source that are remembered by what the application calls them. Overflow: the oldest is forgotten. */
export const UDP_CHANNEL_PEERS_MAX = 1_024;

// ── groups ───────────────────────────────────────────────────────────────────

/** How soon after the start the members of groups are tried out. Units: µs. */
export const HEALTH_FIRST_US = 100_000;

/** How long flows between the same two stay with one proxy. Units: µs. Source: mihomo adapter/outboundgroup/loadbalance.go (10 min). */
export const STICKY_SESSION_US = 600_000_000;

/** Pairs that stay with one proxy. Overflow: the one used longest ago goes. Source: mihomo (1000). */
export const STICKY_SESSIONS_MAX = 1_000;

/** Longest body that a health check reads. Units: bytes. */
export const HEALTH_BODY_BYTES_MAX = 65_536;

/** How long fetching a list may take. Overflow: the copy stays as it was. Units: ms. */
export const DOWNLOAD_MS_MAX = 20_000;

/** Bytes that wait between two ends inside this program. Overflow: the writer waits. Units: bytes. */
export const DUPLEX_PAIR_BYTES_MAX = 65_536;

/** How often groups are looked at when nothing is due. Units: ms. */
export const HEALTH_TURN_MS_MAX = 250;

/** Largest file of fake addresses that is read. Overflow: it is left alone. Units: bytes. */
export const FAKE_IP_FILE_BYTES_MAX = 32 << 20;

// ── dialing again (core/host/dial_again) ─────────────────────────────────────

/** Tries of one flow to reach a proxy's server. Source: mihomo tunnel/tunnel.go `retry`. */
export const DIAL_TRIES_MAX = 10;

/** How long one flow's tries may begin. Units: µs. Source: mihomo constant `DefaultTCPTimeout`. */
export const DIAL_TRIES_US = 5_000_000;

/** Wait after the first failed try; doubled after each. Units: ms. Source: mihomo component/slowdown. */
export const DIAL_AGAIN_MS_MIN = 10;

/** Longest wait between two tries. Units: ms. Source: mihomo component/slowdown. */
export const DIAL_AGAIN_MS_MAX = 1_000;

/** How often new fake addresses are written to their file. Units: ms. */
export const FAKE_IP_KEEP_MS = 30_000;

/** Rules of the Windows firewall that are read. Overflow: the others are not looked at. */
export const FIREWALL_RULES_MAX = 20_000;

// ── simulated proxies ────────────────────────────────────────────────────────

/** What a simulated relay or proxy server holds for one direction of one flow before it stops reading. Units: bytes. */
export const PROXIED_BUFFER_BYTES = 65_536;
