import { Action } from "./action";
import { type AgentSummary, type Window, ask, order, schedule } from "./api";
import { count } from "./format";
import { type Column, Whole } from "./list";
import { lasting, startOf } from "./maintenance";
import { keyOf, machineOf, tasksOn } from "./machines";
import type { Cluster } from "./master";
import { agentName } from "./names";
import { Bar, Crumbs, Fact, Id, KINDS, Meters, Time, amounts } from "./parts";
import { usePolled } from "./poll";
import { Reservations } from "./reservations";
import { link } from "./route";
import { Status, place, status } from "./standing";
import { type Resources, origin, total } from "./state";
import { TaskList, tasksOf } from "./tasks";
import { Topology } from "./topology";

type Agent = Cluster["summary"]["slaves"][number];

export function AgentsView({ cluster }: { cluster: Cluster }) {
  return (
    <>
      <div class="title">
        <h1>Agents</h1>
      </div>
      <Topology agents={cluster.summary.slaves} />
      {(cluster.metrics["master/slaves_recovered"] ?? 0) > 0 && <Recovered />}
      <Whole
        caption="Agents"
        first="Host"
        columns={COLUMNS}
        rows={cluster.summary.slaves}
        id={(agent) => agent.id}
        text={(agent) => `${agent.hostname} ${agent.id} ${place(agent)} ${status(agent).text}`}
        none="No agent is registered. Start one with: meseta agent --master=<this master> --work_dir=<folder>"
      />
    </>
  );
}

/** Those that a master before this one had, and that have not come back to this one. */
function Recovered() {
  const { value } = usePolled<Recoveries>(
    "recovered",
    (_, signal) => ask<Recoveries>("GET_AGENTS", signal),
    "by events",
  );
  return (
    <Whole
      caption="Not back since the last master"
      columns={RECOVERED}
      rows={value && (value.recovered_agents ?? [])}
      id={({ id }) => id.value}
      text={({ id, hostname }) => `${hostname} ${id.value}`}
      none="All are back."
    />
  );
}

interface Recoveries {
  recovered_agents?: { id: { value: string }; hostname: string; port?: number }[];
}

const RECOVERED: Column<NonNullable<Recoveries["recovered_agents"]>[number]>[] = [
  { name: "Host", width: "minmax(0, 2fr)", cell: agentName, sort: agentName },
  { name: "State", width: "minmax(6.5rem, 1fr)", cell: () => <span class="state bad">not back</span> },
  { name: "Id", width: "minmax(0, 3fr)", cell: ({ id }) => <Id value={id.value} />, minor: true },
];

const COLUMNS: Column<Agent>[] = [
  {
    name: "Host",
    width: "minmax(0, 2fr)",
    cell: (agent) => (
      <a href={link(["agents", agent.id])} title={agent.id}>
        {agentName(agent)}
      </a>
    ),
    sort: agentName,
  },
  {
    name: "State",
    width: "minmax(6.5rem, 1fr)",
    cell: (agent) => <Status agent={agent} />,
    sort: (agent) => status(agent).text,
  },
  { name: "Tasks", width: "minmax(0, 1.5fr)", cell: tasksOf, minor: true, sort: tasksOn },
  share("cpus"),
  { ...share("mem"), minor: true },
  { ...share("disk"), minor: true },
  {
    name: "Attributes",
    width: "minmax(0, 1.5fr)",
    cell: place,
    minor: true,
    sort: place,
  },
  {
    name: "Registered",
    width: "7rem",
    cell: (agent) => <Time at={agent.reregistered_time ?? agent.registered_time} />,
    minor: true,
    sort: (agent) => agent.reregistered_time ?? agent.registered_time,
  },
];

function share(kind: keyof Resources): Column<Agent> {
  const known = KINDS.find((one) => one.kind === kind);
  const show = known?.show ?? count;
  return {
    name: known?.name ?? kind,
    width: "minmax(0, 1fr)",
    // The fullest come last, and first with a second click.
    sort: (agent) => (agent.used_resources?.[kind] ?? 0) / (agent.resources?.[kind] || Infinity),
    cell: (agent) => {
      const used = agent.used_resources?.[kind] ?? 0;
      const all = agent.resources?.[kind] ?? 0;
      const offered = agent.offered_resources?.[kind] ?? 0;
      return (
        <span class="share" title={`${show(used)} of ${show(all)} in use`}>
          <Bar used={used} offered={offered} all={all} name={kind} />
          <small>{show(all)}</small>
        </span>
      );
    },
  };
}

export function AgentView({ cluster, id }: { cluster: Cluster; id: string }) {
  const agent = cluster.summary.slaves.find((one) => one.id === id);
  if (!agent) {
    return (
      <>
        <Crumbs to="#/agents" name="Agents" />
        <div class="empty">
          <h1>{id}</h1>
          <p>This agent is not registered. It may be unreachable, gone, or never have been here.</p>
        </div>
        <TaskList
          caption="Tasks there"
          cluster={cluster}
          query={{ agent: id }}
          none="The master knows of no task there."
        />
      </>
    );
  }
  const there = origin(agent.pid, location.protocol);
  const frameworks = cluster.summary.frameworks.filter((one) => one.slave_ids?.includes(id));
  return (
    <>
      <Crumbs to="#/agents" name="Agents" />
      <div class="title">
        <h1>{agentName(agent)}</h1>
        <Status agent={agent} />
        <div class="actions">
          <Actions agent={agent} />
        </div>
      </div>
      <dl class="facts">
        <Fact name="Id">
          <Id value={agent.id} />
        </Fact>
        <Fact name="Version">{agent.version ?? "–"}</Fact>
        <Fact name="Registered">
          <Time at={agent.registered_time} />
        </Fact>
        <Fact name="Attributes">{place(agent) || "none"}</Fact>
        <Maintenance agent={agent} />
        <Fact name="Its own page">{there ? <a href={`${there}/`}>{there}</a> : "–"}</Fact>
      </dl>
      <section>
        <div class="above">
          <h2>Resources</h2>
        </div>
        <Meters
          used={total([agent.used_resources])}
          offered={total([agent.offered_resources])}
          all={total([agent.resources])}
        />
        <p class="none">Unreserved: {amounts({ ...agent.unreserved_resources })}</p>
      </section>
      <Reservations agent={id} />
      <Whole
        caption="Frameworks here"
        columns={FRAMEWORKS}
        rows={frameworks}
        id={(framework) => framework.id}
        none="No framework has tasks on this agent."
      />
      <TaskList
        caption="Tasks here"
        cluster={cluster}
        query={{ agent: id }}
        none="No task has run on this agent yet."
      />
    </>
  );
}

/** When the machine of an agent will be away, if that is known. */
function Maintenance({ agent }: { agent: AgentSummary }) {
  const { value } = usePolled<{ windows?: Window[] }>("schedule", (_, signal) => schedule(signal), "by events");
  const machine = keyOf(machineOf(agent));
  const window = value?.windows?.find((one) => one.machine_ids.some((id) => keyOf(id) === machine));
  if (!window) return null;
  return (
    <Fact name="Maintenance">
      <a href="#/maintenance">
        <Time at={startOf(window.unavailability)} ahead />, {lasting(window.unavailability)}
      </a>
    </Fact>
  );
}

const FRAMEWORKS: Column<Cluster["summary"]["frameworks"][number]>[] = [
  {
    name: "Name",
    width: "minmax(0, 2fr)",
    cell: (framework) => <a href={link(["frameworks", framework.id])}>{framework.name}</a>,
  },
  { name: "Id", width: "minmax(0, 3fr)", cell: (framework) => <Id value={framework.id} /> },
];

/** What an operator can do with an agent as it is. */
function Actions({ agent }: { agent: AgentSummary }) {
  const agent_id = { value: agent.id };
  const name = agentName(agent);
  if (agent.deactivated || agent.drain_info) {
    return (
      <Action
        name="Reactivate"
        title={`Reactivate ${name}?`}
        confirm="Reactivate"
        act={() => order({ type: "REACTIVATE_AGENT", reactivate_agent: { agent_id } })}
      >
        <p>Frameworks are offered its resources again.</p>
      </Action>
    );
  }
  return (
    <>
      <Action
        name="Drain"
        title={`Drain ${name}?`}
        confirm="Drain"
        danger
        act={(form) => order({ type: "DRAIN_AGENT", drain_agent: drain(agent_id, form) })}
      >
        <p>
          All of its tasks are killed, each with its grace period, and it gets no new ones until it
          is reactivated.
        </p>
        <label>
          Longest grace period, in seconds
          <input name="grace" type="number" min="0" placeholder="as each task says" />
        </label>
        <label class="check">
          <input name="gone" type="checkbox" /> Mark it gone for ever once it is empty
        </label>
      </Action>
      <Action
        name="Deactivate"
        title={`Deactivate ${name}?`}
        confirm="Deactivate"
        act={() => order({ type: "DEACTIVATE_AGENT", deactivate_agent: { agent_id } })}
      >
        <p>Its tasks go on, and frameworks are not offered its resources until it is reactivated.</p>
      </Action>
    </>
  );
}

function drain(agent_id: { value: string }, form: FormData): Record<string, unknown> {
  const grace = String(form.get("grace") ?? "");
  return {
    agent_id,
    mark_gone: form.get("gone") !== null,
    ...(grace !== "" && { max_grace_period: { nanoseconds: Number(grace) * 1e9 } }),
  };
}
