import { useMemo, useState } from "preact/hooks";

import type { AgentSummary, Counts } from "./api";
import { count } from "./format";
import { type Column, Whole } from "./list";
import { Bar, amount } from "./parts";
import { places, status } from "./standing";
import { type Resources, total } from "./state";

type Agent = AgentSummary & Counts;

interface Group {
  value: string;
  agents: Agent[];
}

/** Agents put together by what they have in common. */
export function Topology({ agents }: { agents: Agent[] }) {
  const [by, setBy] = useState("");
  const names = useMemo(
    () => [...new Set(agents.flatMap((agent) => places(agent).map(([name]) => name)))].sort(),
    [agents],
  );
  const rows = useMemo(() => groupsOf(agents, by), [agents, by]);
  if (names.length === 0) return null;
  return (
    <>
      <label class="choice">
        Put together by{" "}
        <select value={by} onChange={(event) => setBy(event.currentTarget.value)}>
          <option value="">nothing</option>
          {names.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      {by !== "" && (
        <Whole
          caption={`By ${by}`}
          columns={GROUPS}
          rows={rows}
          first="Value"
          id={(group) => group.value}
          none=""
        />
      )}
    </>
  );
}

function groupsOf(agents: Agent[], by: string): Group[] {
  const groups = new Map<string, Agent[]>();
  if (by === "") return [];
  for (const agent of agents) {
    const value = places(agent).find(([name]) => name === by)?.[1] ?? "none";
    const group = groups.get(value);
    if (group) group.push(agent);
    else groups.set(value, [agent]);
  }
  return [...groups].map(([value, agents]) => ({ value, agents }));
}

const GROUPS: Column<Group>[] = [
  {
    name: "Value",
    width: "minmax(0, 2fr)",
    cell: (group) => group.value,
    sort: (group) => group.value,
  },
  {
    name: "Agents",
    width: "5rem",
    numeric: true,
    cell: (group) => count(group.agents.length),
    sort: (group) => group.agents.length,
  },
  {
    name: "Active",
    width: "5rem",
    numeric: true,
    cell: (group) =>
      count(group.agents.filter((agent) => status(agent).text === "active").length),
  },
  ...(["cpus", "mem"] as const).map((kind): Column<Group> => ({
    name: kind === "cpus" ? "CPUs" : "Memory",
    width: "minmax(0, 2fr)",
    minor: true,
    cell: ({ agents }) => {
      const sum = (of: (agent: Agent) => Resources | undefined) => total(agents.map(of))[kind];
      const [used, offered, all] = [
        sum((agent) => agent.used_resources),
        sum((agent) => agent.offered_resources),
        sum((agent) => agent.resources),
      ];
      return (
        <span class="share">
          <Bar used={used} offered={offered} all={all} name={kind} />
          <small>{amount(kind, all)}</small>
        </span>
      );
    },
  })),
];
