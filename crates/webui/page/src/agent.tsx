import { Fact } from "./master";
import { Id, Meters, State } from "./parts";
import { format } from "./route";
import type { AgentState, Executor } from "./state";
import { total } from "./state";
import { type Column, Table } from "./table";

interface Row {
  framework: { id: string; name: string };
  executor: Executor;
}

/** One agent and what it runs. */
export function AgentHome({ state }: { state: AgentState }) {
  const frameworks = state.frameworks ?? [];
  const rows = (framework: Row["framework"], executors: Executor[] | undefined): Row[] =>
    (executors ?? []).map((executor) => ({ framework, executor }));
  const running = frameworks.flatMap((one) => rows(one, one.executors));
  const ended = [...frameworks, ...(state.completed_frameworks ?? [])].flatMap((one) =>
    rows(one, one.completed_executors),
  );
  return (
    <>
      <header>
        <h1>Agent {state.hostname || state.pid}</h1>
        <dl>
          <Fact name="Id" value={state.id || "not registered yet"} />
          {state.version && <Fact name="Version" value={state.version} />}
          {state.master_hostname && <Fact name="Master" value={state.master_hostname} />}
        </dl>
        <Meters
          used={total([
            state.unreserved_resources_allocated,
            ...Object.values(state.reserved_resources_allocated ?? {}),
          ])}
          all={total([state.resources])}
        />
      </header>
      <main>
        <Table
          caption="Running executors"
          rows={running}
          columns={EXECUTORS}
          id={(row) => row.executor.container}
          none="No executor runs."
        />
        <Table
          caption="Completed executors"
          rows={ended}
          columns={EXECUTORS}
          id={(row) => row.executor.container}
          none="No executor has ended yet."
        />
      </main>
    </>
  );
}

const EXECUTORS: Column<Row>[] = [
  {
    name: "Framework",
    cell: (row) => <span title={row.framework.id}>{row.framework.name}</span>,
    text: (row) => row.framework.name,
  },
  {
    name: "Executor",
    cell: (row) => <Id value={row.executor.id} />,
    text: (row) => row.executor.id,
  },
  { name: "Name", cell: (row) => row.executor.name, text: (row) => row.executor.name },
  {
    name: "Tasks",
    cell: ({ executor }) => (
      <ul class="tasks">
        {[...(executor.tasks ?? []), ...(executor.completed_tasks ?? [])].map((task) => (
          <li key={task.id}>
            <Id value={task.id} /> <State name={task.state} />
          </li>
        ))}
      </ul>
    ),
  },
  {
    name: "Output",
    cell: ({ framework, executor }) => (
      <a
        href={format({
          view: "sandbox",
          framework: framework.id,
          executor: executor.id,
          containers: [executor.container],
          folder: [],
          file: undefined,
        })}
        aria-label={`Sandbox of ${executor.id}`}
      >
        Sandbox
      </a>
    ),
  },
];

/** The folder of a sandbox, as far as the agent still knows of it. */
export function directory(
  state: AgentState,
  framework: string,
  executor: string,
  containers: string[],
): string | undefined {
  const [outer, ...inner] = containers;
  const candidates = [...(state.frameworks ?? []), ...(state.completed_frameworks ?? [])]
    .filter((one) => one.id === framework)
    .flatMap((one) => [...(one.executors ?? []), ...(one.completed_executors ?? [])]);
  const found =
    // A task of an executor of its own may be named by its container alone.
    candidates.find((one) => one.container === outer) ??
    (outer === undefined ? candidates.find((one) => one.id === executor) : undefined);
  if (!found) return undefined;
  return [found.directory, ...inner.flatMap((container) => ["containers", container])].join("/");
}
