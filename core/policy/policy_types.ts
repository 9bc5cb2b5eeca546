/** The types of `import … from "weir"` as one text, for a script that lives away from weir's sources. Made from the sources themselves. */
import facts from "../classify/facts.ts" with { type: "text" };
import policy from "./policy.ts" with { type: "text" };
import { invariant } from "../base/invariant.ts";

/** A declaration of facts.ts with its comment. */
function declaration(name: string): string {
  const found = new RegExp(
    `(/\\*\\*(?:[^*]|\\*(?!/))*\\*/\\n)export (?:interface ${name} \\{[^]*?\\n\\}|type ${name} =[^]*?;)\\n`,
  ).exec(facts);
  invariant(found !== null, "a type of the policy API is missing in facts.ts");
  return found[0];
}

/**
 * The declarations of the module "weir".
 * Shape: `module`: the text of a `weir.d.ts` for an import map (`{"imports": {"weir": "./weir.d.ts"}}`) or the `paths` of a tsconfig;
 * `ambient`: the same inside `declare module "weir" { … }`, which an editor needs only to see.
 */
export function policyTypes(form: "module" | "ambient" = "ambient"): string {
  const own = policy.replace(/^import .*\n/gm, "");
  const head = own.slice(0, own.indexOf("\n") + 1);
  const declarations = [
    ...["SniffProtocol", "DnsMode", "Metadata"].map(declaration),
    own.slice(head.length).trim() + "\n",
    "/** Checks a policy and hands it back, so that the editor knows what its functions are given. */\n" +
    "export declare function definePolicy(policy: Policy): Policy;\n",
  ].join("\n");
  if (form === "module") return `${head}\n${declarations}`;
  const inside = declarations.replace("export declare function", "export function").replace(/^(?=.)/gm, "  ");
  return `${head}declare module "weir" {\n${inside}}\n`;
}
