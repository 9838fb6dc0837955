import { count, megabytes } from "./format";
import { Id, Meters, Outward, State, Time } from "./parts";
import type { Agent, Framework, MasterState, Resources, Task } from "./state";
import { changed, origin, sandboxHash, started, total } from "./state";
import { type Column, Table } from "./table";

/** The cluster, as its master sees it. */
export function Master({ state }: { state: MasterState }) {
  const frameworks = state.frameworks ?? [];
  const past = state.completed_frameworks ?? [];
  const all = [...frameworks, ...past];
  const active = newestFirst(
    frameworks.flatMap((framework) => [
      ...(framework.tasks ?? []),
      ...(framework.unreachable_tasks ?? []),
    ]),
  );
  const completed = newestFirst(all.flatMap((framework) => framework.completed_tasks ?? []));
  const columns = taskColumns(state.slaves, all);
  const host = state.hostname || state.pid;
  return (
    <>
      <header>
        <h1>{state.cluster || "Meseta"}</h1>
        <dl>
          <Fact name="Master" value={host} />
          <Fact name="Id" value={state.id} />
          {state.version && <Fact name="Version" value={state.version} />}
          <Fact name="Agents" value={count(state.slaves.filter(isActive).length)} />
          <Fact name="Frameworks" value={count(frameworks.filter((one) => one.active).length)} />
          <Fact name="Tasks" value={count(active.length)} />
        </dl>
        <Meters
          used={total(state.slaves.map((agent) => agent.used_resources))}
          all={total(state.slaves.map((agent) => agent.resources))}
        />
      </header>
      <main>
        <Table
          caption="Active tasks"
          rows={active}
          columns={columns}
          id={taskKey}
          none="No task runs."
        />
        <Table
          caption="Completed tasks"
          rows={completed}
          columns={columns}
          id={taskKey}
          none="No task has ended yet."
        />
        <Table
          caption="Agents"
          rows={state.slaves}
          columns={AGENTS}
          id={(agent) => agent.id}
          none="No agent is registered."
        />
        <Table
          caption="Frameworks"
          rows={frameworks}
          columns={FRAMEWORKS}
          id={(framework) => framework.id}
          none="No framework is registered."
        />
        <Table
          caption="Completed frameworks"
          rows={past}
          columns={FRAMEWORKS}
          id={(framework) => framework.id}
          none="No framework has ended yet."
        />
      </main>
    </>
  );
}

export function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd title={value}>{value}</dd>
    </div>
  );
}

function newestFirst(tasks: Task[]): Task[] {
  return tasks
    .map((task) => ({ task, at: changed(task) }))
    .sort((one, other) => other.at - one.at)
    .map(({ task }) => task);
}

/** A task's id may be used again on another agent, or after it has ended. */
function taskKey(task: Task): string {
  return JSON.stringify([task.framework_id, task.id, task.slave_id, started(task)]);
}

function taskColumns(agents: Agent[], frameworks: Framework[]): Column<Task>[] {
  const names = new Map(frameworks.map((framework) => [framework.id, framework.name]));
  const byId = new Map(agents.map((agent) => [agent.id, agent]));
  const framework = (task: Task) => names.get(task.framework_id) || task.framework_id;
  const host = (task: Task) => byId.get(task.slave_id)?.hostname ?? task.slave_id;
  return [
    {
      name: "Framework",
      cell: (task) => <span title={task.framework_id}>{framework(task)}</span>,
      text: framework,
    },
    { name: "Task", cell: (task) => <Id value={task.id} />, text: (task) => task.id },
    { name: "Name", cell: (task) => task.name, text: (task) => task.name },
    {
      name: "State",
      cell: (task) => <State name={task.state} healthy={task.statuses?.at(-1)?.healthy} />,
      text: (task) => task.state,
    },
    { name: "Started", cell: (task) => <Time at={started(task)} /> },
    { name: "Agent", cell: host, text: host },
    {
      name: "Output",
      cell: (task) => {
        const there = origin(byId.get(task.slave_id)?.pid, location.protocol);
        if (!there) return <span class="none">agent gone</span>;
        return (
          <a href={`${there}/${sandboxHash(task)}`} aria-label={`Sandbox of ${task.id}`}>
            Sandbox
          </a>
        );
      },
    },
  ];
}

const AGENTS: Column<Agent>[] = [
  {
    name: "Host",
    cell: (agent) => {
      const there = origin(agent.pid, location.protocol);
      return there ? <a href={`${there}/`}>{agent.hostname}</a> : agent.hostname;
    },
    text: (agent) => agent.hostname,
  },
  { name: "Id", cell: (agent) => <Id value={agent.id} />, text: (agent) => agent.id },
  {
    name: "State",
    cell: (agent) =>
      isActive(agent) ? (
        <span class="state good">active</span>
      ) : (
        <span class="state bad">{agent.deactivated ? "deactivated" : "disconnected"}</span>
      ),
  },
  { name: "CPUs", cell: (agent) => share(agent, "cpus", count), numeric: true },
  { name: "Memory", cell: (agent) => share(agent, "mem", megabytes), numeric: true },
  { name: "Disk", cell: (agent) => share(agent, "disk", megabytes), numeric: true },
  { name: "Registered", cell: (agent) => <Time at={agent.registered_time} /> },
];

function isActive(agent: Agent): boolean {
  return agent.active !== false && !agent.deactivated;
}

function share(agent: Agent, kind: keyof Resources, show: (value: number) => string): string {
  const used = agent.used_resources?.[kind] ?? 0;
  return `${show(used)} of ${show(agent.resources?.[kind] ?? 0)}`;
}

const FRAMEWORKS: Column<Framework>[] = [
  {
    name: "Name",
    cell: (framework) => <Outward to={framework.webui_url}>{framework.name}</Outward>,
    text: (framework) => framework.name,
  },
  {
    name: "Id",
    cell: (framework) => <Id value={framework.id} />,
    text: (framework) => framework.id,
  },
  {
    name: "State",
    cell: (framework) =>
      framework.unregistered_time ? (
        <span class="state calm">completed</span>
      ) : framework.active ? (
        <span class="state good">active</span>
      ) : (
        <span class="state bad">{framework.connected ? "inactive" : "disconnected"}</span>
      ),
  },
  { name: "User", cell: (framework) => framework.user, text: (framework) => framework.user ?? "" },
  { name: "Roles", cell: roles, text: roles },
  { name: "Tasks", cell: (framework) => count(framework.tasks?.length ?? 0), numeric: true },
  {
    name: "CPUs",
    cell: (framework) => count(framework.used_resources?.cpus ?? 0),
    numeric: true,
  },
  {
    name: "Memory",
    cell: (framework) => megabytes(framework.used_resources?.mem ?? 0),
    numeric: true,
  },
  {
    name: "Registered",
    cell: (framework) => <Time at={framework.registered_time} />,
  },
];

function roles(framework: Framework): string {
  return (framework.roles ?? [framework.role ?? "*"]).join(", ");
}
