/** The WinDivert filter language for other tools: compile, match, normalise. */
export type { FilterAddress } from "./address.ts";
export { compileFilter, type Filter, filterObject, formatFilter } from "./compile.ts";
export { calcChecksums, type ChecksumResult, NO_CHECKSUM } from "./checksums.ts";
export { hashPacket } from "./hash.ts";
export { type FilterLayer, LAYER_NAMES, type LayerName } from "./layer.ts";
export { type ParsedPacket, parsePacket } from "./packet_view.ts";
export { FILTER_MESSAGES, FilterSyntaxError } from "./syntax_error.ts";
