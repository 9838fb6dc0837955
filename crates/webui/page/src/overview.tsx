import type { Metrics } from "./api";
import { Attention } from "./attention";
import { Chart } from "./chart";
import { count, duration } from "./format";
import { useLive } from "./live";
import type { Cluster } from "./master";
import { Fact, KINDS, State, Time } from "./parts";
import { tasksLink } from "./route";

/** In the order of a task's life. */
const STATES = [
  "staging",
  "starting",
  "running",
  "killing",
  "unreachable",
  "finished",
  "killed",
  "failed",
  "lost",
  "error",
  "dropped",
  "gone",
  "gone_by_operator",
];

/** Those of them that are shown even when there is none. */
const ALWAYS = ["staging", "running", "finished", "failed"];

export function OverviewView({ cluster }: { cluster: Cluster }) {
  const { metrics, facts, history, summary } = cluster;
  const master = facts?.master_info;
  const there = master ? `${master.hostname}:${port(master.pid)}` : undefined;
  const number = (name: string) => count(metrics[`master/${name}`] ?? 0);
  return (
    <>
      <div class="title">
        <h1>{summary.cluster || "Overview"}</h1>
      </div>
      <dl class="facts">
        <Fact name="Leading master">{there ?? "–"}</Fact>
        <Fact name="Elected">
          <Time at={facts?.elected_time} />
        </Fact>
        <Fact name="Uptime">{duration(metrics["master/uptime_secs"] ?? 0)}</Fact>
        <Fact name="Version">{master?.version ?? "–"}</Fact>
        <Fact name="Agents">
          <a href="#/agents">
            {number("slaves_active")} active{others(metrics, "slaves")}
          </a>
        </Fact>
        <Fact name="Frameworks">
          <a href="#/frameworks">
            {number("frameworks_active")} active{others(metrics, "frameworks")}
          </a>
        </Fact>
        <Fact name="Offers">
          <a href="#/offers">{number("outstanding_offers")} outstanding</a>
        </Fact>
      </dl>
      <Attention cluster={cluster} />
      {summary.slaves.length === 0 && (
        <p class="empty lead">
          No agent is registered, so nothing can run. Start one with: meseta agent --master={there ?? "<this master>"} --work_dir=&lt;folder&gt;
        </p>
      )}
      <section aria-label="Resources">
        <div class="cards">
          {KINDS.map(({ kind, name, show }) => {
            const now = history[kind].at(-1);
            if (!now || (now.all === 0 && kind === "gpus")) return null;
            const idle = Math.max(0, now.all - now.used - now.offered);
            return (
              <article key={kind} class="card">
                <h2>{name}</h2>
                <p class="big">
                  {show(now.used)} <small>of {show(now.all)}</small>
                </p>
                <Chart name={name} samples={history[kind]} />
                <ul class="legend">
                  <li class="used">{show(now.used)} allocated</li>
                  <li class="offered">{show(now.offered)} offered</li>
                  <li class="idle">{show(idle)} idle</li>
                </ul>
              </article>
            );
          })}
        </div>
      </section>
      <section>
        <div class="above">
          <h2>Tasks</h2>
        </div>
        <ul class="tiles">
          {STATES.filter(
            (state) => ALWAYS.includes(state) || (metrics[`master/tasks_${state}`] ?? 0) > 0,
          ).map((state) => (
            <li key={state}>
              <a href={tasksLink("", [`TASK_${state.toUpperCase()}`])}>
                <b>{number(`tasks_${state}`)}</b>
                <State name={`TASK_${state.toUpperCase()}`} />
              </a>
            </li>
          ))}
        </ul>
      </section>
      <Activity />
    </>
  );
}

function port(pid: string): string {
  return pid.split(":").at(-1) ?? "";
}

function others(metrics: Metrics, what: string): string {
  const parts = ["inactive", "disconnected", "unreachable"]
    .map((state) => [state, metrics[`master/${what}_${state}`] ?? 0] as const)
    .filter(([, number]) => number > 0)
    .map(([state, number]) => `, ${count(number)} ${state}`);
  return parts.join("");
}

/** What has happened since the page was opened. */
function Activity() {
  const { happenings, link } = useLive();
  return (
    <section>
      <div class="above">
        <h2>Activity</h2>
      </div>
      {happenings.length === 0 ? (
        <p class="empty">
          {link === "live"
            ? "Nothing has happened since this page was opened. Tasks, agents and frameworks appear here as they come and go."
            : "What happens is shown here once the event stream is open."}
        </p>
      ) : (
        <ol class="activity">
          {happenings.slice(0, 20).map((one) => (
            <li key={one.number}>
              <Time at={one.at} />{" "}
              {one.href ? <a href={one.href}>{one.what}</a> : one.what}{" "}
              {one.state && <State name={one.state} />}
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

