import { type AgentSummary, type Frameworks, type Summary, ask } from "./api";
import type { Cluster } from "./master";
import { usePolled } from "./poll";

/** What agents are called: several may be on one host. */
export function agentName({ hostname, port }: Pick<AgentSummary, "hostname" | "port">): string {
  return port === undefined ? hostname : `${hostname}:${port}`;
}

/** The names of agents by their ids; those that are gone have none but that. */
export function agentNames({ summary }: Cluster): (id: string) => string {
  let names = known.get(summary);
  if (!names) {
    names = new Map(summary.slaves.map((agent) => [agent.id, agentName(agent)]));
    known.set(summary, names);
  }
  return (id) => names.get(id) ?? (id || "–");
}

/** Lists are drawn far more often than there is a new summary. */
const known = new WeakMap<Summary, Map<string, string>>();

/**
 * The names of frameworks, also of those that have ended: the master's summary does not have them, so it is
 * asked for them when one is to be shown.
 */
export function useFrameworkNames(cluster: Cluster, ids: string[]): (id: string) => string {
  const names = new Map(cluster.summary.frameworks.map(({ id, name }) => [id, name]));
  const unknown = [...new Set(ids.filter((id) => !names.has(id)))].sort();
  const { value } = usePolled<[string, string][]>(
    JSON.stringify(["names", unknown]),
    async (last, signal) => {
      if (last || unknown.length === 0) return last ?? [];
      const { completed_frameworks: ended } = await ask<Frameworks>("GET_FRAMEWORKS", signal);
      return (ended ?? []).map(({ framework_info: { id, name } }) => [id.value, name]);
    },
    "by events",
  );
  for (const [id, name] of value ?? []) names.set(id, name);
  return (id) => names.get(id) || id;
}
