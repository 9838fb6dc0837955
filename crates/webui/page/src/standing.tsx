import type { AgentSummary } from "./api";

/** Where an agent stands, and how. */

/** Where an agent stands: its domain and its attributes, each with its name. */
export function places(agent: AgentSummary): [string, string][] {
  const { region, zone } = agent.domain?.fault_domain ?? {};
  const domain = [
    ["region", region?.name],
    ["zone", zone?.name],
  ].filter((one): one is [string, string] => one[1] !== undefined);
  const attributes = Object.entries(agent.attributes ?? {});
  return [...domain, ...attributes.map(([name, value]): [string, string] => [name, `${value}`])];
}

export function place(agent: AgentSummary): string {
  return places(agent)
    .map(([name, value]) => `${name}:${value}`)
    .join(" ");
}

export function status(agent: AgentSummary): { text: string; mood: string } {
  const drain = agent.drain_info?.state;
  if (drain === "DRAINED") return { text: "drained", mood: "calm" };
  if (drain) return { text: "draining", mood: "busy" };
  if (agent.deactivated) return { text: "deactivated", mood: "calm" };
  if (agent.active === false) return { text: "disconnected", mood: "bad" };
  return { text: "active", mood: "good" };
}

export function Status({ agent }: { agent: AgentSummary }) {
  const { text, mood } = status(agent);
  return <span class={`state ${mood}`}>{text}</span>;
}
