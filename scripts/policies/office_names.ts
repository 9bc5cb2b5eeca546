/** What office.ts sends through the office. */

/** Names of the office's services; names below them count as well. */
export const OFFICE_NAMES: readonly string[] = ["example.com", "git.example.net"];

/** Networks that only the office reaches. */
export const OFFICE_NETWORKS: readonly string[] = ["198.51.100.0/24", "2001:db8:2::/48"];
