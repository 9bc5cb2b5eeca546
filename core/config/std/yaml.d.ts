/** Declarations of the part of `@std/yaml` that weir uses. Source: https://jsr.io/@std/yaml */
export function parse(content: string, options?: { schema?: "failsafe" | "json" | "core" | "default" }): unknown;
export function stringify(data: unknown): string;
