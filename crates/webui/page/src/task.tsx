import { type Check, type TaskDetails, tasks } from "./api";
import { date, duration, reasonName, stateName } from "./format";
import type { Cluster } from "./master";
import { agentNames, useFrameworkNames } from "./names";
import { Crumbs, Fact, Id, State, Time, Trouble, amounts } from "./parts";
import { usePolled } from "./poll";
import { link } from "./route";
import { type Status, type Task, containers, origin, sandboxHash } from "./state";

/** One task: what has become of it, and the way to its output. */
export function TaskView(props: {
  cluster: Cluster;
  route: { framework: string; agent: string; task: string };
}) {
  const { cluster, route } = props;
  const key = JSON.stringify(route);
  const { value: task, error } = usePolled<(Task & TaskDetails) | null>(
    key,
    async (_, signal) => {
      const { framework, agent, task } = route;
      const query = { framework, agent, task, history: true } as const;
      return (await tasks(query, 0, 1, signal)).tasks[0] ?? null;
    },
    "by events",
  );
  return (
    <>
      <Crumbs to="#/tasks" name="Tasks" />
      <Trouble error={error} />
      {task === null ? (
        <div class="empty">
          <h1>{route.task}</h1>
          <p>The master does not know this task, or has forgotten it since it ended.</p>
          <p>
            <a href="#/tasks">Look through the tasks that it knows</a>
          </p>
        </div>
      ) : (
        task && <Known task={task} cluster={cluster} />
      )}
    </>
  );
}

function Known({ task, cluster }: { task: Task & TaskDetails; cluster: Cluster }) {
  const agent = cluster.summary.slaves.find((one) => one.id === task.slave_id);
  const name = useFrameworkNames(cluster, [task.framework_id]);
  const there = origin(agent?.pid, location.protocol);
  const statuses = task.history ?? task.statuses ?? [];
  const last = statuses.at(-1);
  return (
    <>
      <div class="title">
        <h1>{task.id}</h1>
        <State name={task.state} healthy={last?.healthy} />
        {there ? (
          <div class="actions">
            {running(task) && (
              <a class="button" href={`${there}/${sandboxHash(task, "terminal")}`}>
                Terminal
              </a>
            )}
            <a class="button strong" href={`${there}/${sandboxHash(task)}`}>
              Output and files
            </a>
          </div>
        ) : (
          <span class="none">Its agent is gone, and its output with it.</span>
        )}
      </div>
      <dl class="facts">
        {task.name !== task.id && <Fact name="Name">{task.name || "–"}</Fact>}
        <Fact name="Framework">
          <a href={link(["frameworks", task.framework_id])}>
            {name(task.framework_id)}
          </a>
        </Fact>
        <Fact name="Agent">
          <a href={link(["agents", task.slave_id])}>{agentNames(cluster)(task.slave_id)}</a>
        </Fact>
        <Fact name="Role">{task.role ?? "*"}</Fact>
        <Fact name="Resources">{amounts({ ...task.resources })}</Fact>
        {task.user && <Fact name="User">{task.user}</Fact>}
        {task.executor_id && (
          <Fact name="Executor">
            <Id value={task.executor_id} />
          </Fact>
        )}
        <Fact name="Container">
          <Id value={containers(task).join(".") || "–"} />
        </Fact>
        <Fact name="Addresses">{addresses(last) || "–"}</Fact>
        {last?.healthy !== undefined && (
          <Fact name="Health">{last.healthy ? "healthy" : "unhealthy"}</Fact>
        )}
        {task.health_check && <Fact name="Health check">{said(task.health_check)}</Fact>}
        {last?.check_status && <Fact name="Check">{check(last)}</Fact>}
      </dl>
      {task.labels && task.labels.length > 0 && (
        <ul class="chips" aria-label="Labels">
          {task.labels.map(({ key, value }) => (
            <li key={key}>{value ? `${key}: ${value}` : key}</li>
          ))}
        </ul>
      )}
      <Timeline statuses={statuses} />
    </>
  );
}

function Timeline({ statuses }: { statuses: Status[] }) {
  return (
    <section>
      <div class="above">
        <h2>History</h2>
      </div>
      {statuses.length === 0 ? (
        <p class="empty">The agent has not said anything of this task yet.</p>
      ) : (
        <ol class="timeline">
          {statuses.map((status, n) => {
            const before = statuses[n - 1]?.timestamp;
            const at = status.timestamp ?? 0;
            return (
              <li key={n} class={n === statuses.length - 1 ? "latest" : ""}>
                <State name={status.state} healthy={status.healthy} />
                <span>
                  <Time at={at} /> <small>{date(at)}</small>
                </span>
                {before !== undefined && at - before >= 1 && (
                  <small>
                    after {duration(at - before)} {stateName(statuses[n - 1]?.state ?? "")}
                  </small>
                )}
                <Why status={status} />
              </li>
            );
          })}
        </ol>
      )}
    </section>
  );
}

/** What was said of a state when it came. */
function Why({ status: { message, reason } }: { status: Status }) {
  if (!message && !reason) return null;
  return (
    <p class="said">
      {message} {reason && <small title={reason}>{reasonName(reason)}</small>}
    </p>
  );
}

function running(task: Task): boolean {
  return task.state === "TASK_RUNNING" || task.state === "TASK_KILLING";
}

function said({ http, tcp, command, interval_seconds: interval }: Check): string {
  const what = http
    ? `${http.scheme ?? "http"} on port ${http.port}${http.path ?? ""}`
    : tcp
      ? `TCP on port ${tcp.port}`
      : (command?.value ?? "by its executor");
  return interval === undefined ? what : `${what}, every ${interval} s`;
}

function addresses(status: Status | undefined): string {
  const networks = status?.container_status?.network_infos ?? [];
  const found = networks.flatMap((network) =>
    (network.ip_addresses ?? []).map((address) => address.ip_address ?? ""),
  );
  return [...new Set(found)].join(", ");
}

function check(status: Status): string {
  const { command, http, tcp } = status.check_status ?? {};
  if (command) return `command ended with ${command.exit_code ?? "nothing yet"}`;
  if (http) return `HTTP ${http.status_code ?? "nothing yet"}`;
  if (tcp) return tcp.succeeded ? "TCP connects" : "TCP does not connect";
  return "–";
}
