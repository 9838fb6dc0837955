import { useEffect, useRef, useState } from "preact/hooks";

import { type Counts, type TaskPage, type TaskQuery, tasks } from "./api";
import { count, stateName } from "./format";
import { type Column, List } from "./list";
import type { Cluster } from "./master";
import { agentNames, useFrameworkNames } from "./names";
import { State, Time, Trouble } from "./parts";
import { usePolled } from "./poll";
import { type Tasks, link, tasksLink } from "./route";
import { type Task, changed, started } from "./state";

const STATES = [
  "TASK_STAGING",
  "TASK_STARTING",
  "TASK_RUNNING",
  "TASK_KILLING",
  "TASK_UNREACHABLE",
  "TASK_FINISHED",
  "TASK_KILLED",
  "TASK_FAILED",
  "TASK_LOST",
  "TASK_ERROR",
];

/** How long typing or scrolling rests before the master is asked. */
const PAUSE = 120;

export function TasksView({ cluster, route }: { cluster: Cluster; route: Tasks }) {
  const [search, setSearch] = useState(route.search);
  const settled = useSettled(search);
  // The address follows the typing, so that it can be passed on, and the field an address that is gone to.
  const typed = useRef(route.search);
  useEffect(() => {
    typed.current = settled;
    if (settled !== route.search) location.replace(tasksLink(settled, route.states));
  }, [settled]);
  useEffect(() => {
    if (typed.current !== route.search) setSearch(route.search);
  }, [route.search]);
  const toggle = (state: string) =>
    route.states.includes(state)
      ? route.states.filter((one) => one !== state)
      : [...route.states, state];
  return (
    <>
      <div class="title">
        <h1>Tasks</h1>
        <input
          type="search"
          class="wide"
          placeholder="Search ids and names  /"
          aria-label="Search in tasks"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
      </div>
      <ul class="chips" aria-label="States">
        {[...new Set([...STATES, ...route.states])].map((state) => (
          <li key={state}>
            <a
              href={tasksLink(search, toggle(state))}
              aria-current={route.states.includes(state) ? "true" : undefined}
            >
              {stateName(state)}
            </a>
          </li>
        ))}
        {route.states.length > 0 && (
          <li>
            <a href={tasksLink(search, [])}>all states</a>
          </li>
        )}
      </ul>
      <TaskList
        caption="Tasks"
        cluster={cluster}
        query={{ search: settled, states: route.states }}
        none={
          settled || route.states.length > 0
            ? "No task matches. Tasks that ended long ago, or were refused at once, are not kept by the master."
            : "No task yet. They are listed here as soon as a framework launches one."
        }
      />
    </>
  );
}

/** Rows that the master is asked for at a time. */
const CHUNK = 50;

/** Rows that are kept to go back to. */
const REMEMBERED = 4_000;

/** What was read of a query's tasks, by their place among them. */
interface Kept {
  key: string;
  total: number;
  rows: Map<number, Task>;
}

/** Tasks that a query finds, of which the master gives out those that are looked at. */
export function TaskList(props: {
  caption: string;
  cluster: Cluster;
  query: TaskQuery;
  none: string;
}) {
  const { caption, cluster, query, none } = props;
  const [range, setRange] = useState({ first: 0, last: CHUNK });
  const wanted = useSettled(range);
  const chunk = Math.floor(wanted.first / CHUNK) * CHUNK;
  const limit = Math.ceil((Math.max(wanted.last, chunk + 1) - chunk) / CHUNK) * CHUNK;
  const key = JSON.stringify(query);
  const { value, error } = usePolled<TaskPage & { chunk: number; key: string }>(
    `${key} ${chunk} ${limit}`,
    async (_, signal) => ({ ...(await tasks(query, chunk, limit, signal)), chunk, key }),
    "by events",
  );
  const kept = useRef<Kept | undefined>(undefined);
  if (value && value.key === key) {
    if (kept.current?.key !== key) kept.current = { key, total: 0, rows: new Map() };
    // Where else the list has been may have moved since; it is read again when it is looked at.
    kept.current.total = value.total;
    value.tasks.forEach((task, n) => kept.current?.rows.set(value.chunk + n, task));
    forget(kept.current.rows, value.chunk);
  }
  const shown = kept.current;
  const inSight = Array.from({ length: limit }, (_, n) => shown?.rows.get(chunk + n)?.framework_id);
  const name = useFrameworkNames(cluster, inSight.filter((id) => id !== undefined));
  const columns = columnsFor(cluster, query, name);
  return (
    <>
      <Trouble error={error} />
      <List
        key={key}
        caption={caption}
        columns={columns}
        total={shown?.total ?? 0}
        isRead={shown !== undefined}
        row={(index) => shown?.rows.get(index)}
        id={taskKey}
        none={shown?.key === key ? none : "Reading…"}
        onRange={(first, last) => setRange({ first, last })}
      />
    </>
  );
}

/** Drops rows that are far from where the list is, once there are many. */
function forget(rows: Map<number, Task>, chunk: number): void {
  if (rows.size <= REMEMBERED) return;
  for (const index of rows.keys()) {
    if (Math.abs(index - chunk) > REMEMBERED / 4) rows.delete(index);
  }
}

/** A task's id may be used again on another agent, or after it has ended. */
function taskKey(task: Task): string {
  return JSON.stringify([task.framework_id, task.id, task.slave_id, started(task)]);
}

export function taskLink(task: Task): string {
  return link(["tasks", task.framework_id, task.slave_id, task.id]);
}

function columnsFor(
  cluster: Cluster,
  query: TaskQuery,
  name: (framework: string) => string,
): Column<Task>[] {
  const agentOf = agentNames(cluster);
  const columns: (Column<Task> | false)[] = [
    {
      name: "Task",
      width: "minmax(0, 3fr)",
      cell: (task) => (
        <a href={taskLink(task)} title={task.id}>
          {task.id}
        </a>
      ),
    },
    {
      name: "State",
      width: "minmax(6.5rem, 1fr)",
      cell: (task) => <State name={task.state} healthy={task.statuses?.at(-1)?.healthy} />,
    },
    { name: "Name", width: "minmax(0, 2fr)", cell: (task) => task.name, minor: true },
    !query.framework && {
      name: "Framework",
      width: "minmax(0, 2fr)",
      cell: (task) => (
        <a href={link(["frameworks", task.framework_id])} title={task.framework_id}>
          {name(task.framework_id)}
        </a>
      ),
      minor: true,
    },
    !query.agent && {
      name: "Agent",
      width: "minmax(0, 1.5fr)",
      cell: (task) => <a href={link(["agents", task.slave_id])}>{agentOf(task.slave_id)}</a>,
      minor: true,
    },
    { name: "Changed", width: "6rem", cell: (task) => <Time at={changed(task)} /> },
  ];
  return columns.filter((column) => column !== false);
}

/** A value once it has rested. */
export function useSettled<T>(value: T): T {
  const [settled, setSettled] = useState(value);
  const key = JSON.stringify(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), PAUSE);
    return () => clearTimeout(timer);
  }, [key]);
  return settled;
}

export function tasksOf(counts: Counts): string {
  const parts = ["RUNNING", "STAGING", "STARTING", "KILLING", "UNREACHABLE"].map(
    (state) => [state, counts[`TASK_${state}`] ?? 0] as const,
  );
  const shown = parts.filter(([state, number]) => number > 0 || state === "RUNNING");
  return shown.map(([state, number]) => `${count(number)} ${state.toLowerCase()}`).join(", ");
}
